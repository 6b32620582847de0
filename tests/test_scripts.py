"""The three scripts as a user runs them: one path through all, and mistakes as one line each."""

import json

import numpy as np
import pytest

from tests.data.benchmarks import synthetic
from tests.helpers import write_backbone, write_collection


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    write_collection(folder / "photos", classes=7, images=4)
    write_backbone(folder / "small.keras")
    return folder


def train_flags(place, run_dir, **changes):
    settings = {
        "dataset": "folder",
        "data_dir": place / "photos",
        "val_classes": 3,
        "backbone": place / "small.keras",
        "image_size": 32,
        "images_per_class": 2,
        "steps": 3,
        "warmup_steps": 1,
        "pooling_steps": 0,
        "run_dir": run_dir,
    } | changes
    return [f"--{name}={value}" for name, value in settings.items()]


def test_train_evaluate_export(place, run_command):
    run_dir = place / "run"
    status, output, last = run_command("train.py", *train_flags(place, run_dir))
    assert status == 0, last
    assert "3 steps, best validation mAP (plain)" in output
    assert "| images a step | 8 |" in (run_dir / "summary.md").read_text()
    status, output, last = run_command(
        "eval.py",
        f"--descriptors={run_dir}",
        "--dataset=csv",
        f"--data_dir={run_dir / 'val.csv'}",
        "--resolutions=32",
        "--resolutions=32,48",
        "--whiten_dataset=csv",
        f"--whiten_data_dir={run_dir / 'train.csv'}",
        "--whiten_dim=5",
        "--pictured_queries=1",
        "--page_queries=2",
        f"--out={place / 'report'}",
    )
    assert status == 0, last
    assert output.count("\n| ") == 5
    report = json.loads((place / "report" / "report.json").read_text())
    assert len(report["results"]) == 4 and report["settings"]["whiten_dim"] == 5
    for result in report["results"]:
        aps = [query["ap"] for query in result["per_query"]]
        assert np.mean(aps) == pytest.approx(result["scores"]["mAP (plain)"])
    kinds = {".html": 4, "-ap.png": 4, ".npz": 2, "precision-recall.png": 1}
    for ending, count in kinds.items():
        assert len(list((place / "report").glob(f"*{ending}"))) == count
    (whitening,) = (place / "report").glob("*-run-32-48-whitened.npz")
    status, output, last = run_command(
        "export_savedmodel.py",
        f"--model={run_dir}",
        "--resolutions=32,48",
        f"--whitening={whitening}",
        f"--out={place / 'export'}",
        f"--verify={run_dir / 'val.csv'}",
        "--verify_images=5",
        f"--report={place / 'report' / 'report.json'}",
    )
    assert status == 0, last
    assert "5 dimensions" in output and "5 images: cosine " in output
    card = json.loads((place / "export" / "1" / "assets.extra" / "model_card.json").read_text())
    assert card["name"] == "export" and card["training"]["config"]["steps"] == 3
    assert card["scores"][0]["dataset"] and card["command"].startswith("darac export ")
    images = sorted((place / "photos").rglob("*.jpg"))
    status, output, last = run_command(
        "examples/search_with_savedmodel.py", place / "export" / "1", *images, folder=place
    )
    assert status == 0, last
    assert output.count(".jpg") == 6


@pytest.mark.slow
def test_a_benchmark_with_all_that_eval_offers(place, run_command):
    folder = synthetic.write_oxford(place / "oxford")
    status, output, _ = run_command(
        "eval.py", "--check_data", "--dataset=oxford5k", f"--data_dir={folder}"
    )
    assert status == 1 and "5063" in output  # all is there, but not as many as published
    common = [
        f"--descriptors={place / 'small.keras'}+darac",
        "--dataset=oxford5k",
        f"--data_dir={folder}",
        "--resolutions=32,x0.5",
        f"--distractors_dir={place / 'photos'}",
        f"--cache_dir={place / 'cache'}",
        "--page_queries=3",
        "--pictured_queries=0",
    ]
    status, output, last = run_command("eval.py", *common, f"--out={place / 'a'}")
    assert status == 0, last
    assert "mAP (Oxford)" in output
    more = ["--expansion=alpha", "--expansion_n=3", "--augmentation_n=2", "--rerank=k_reciprocal"]
    status, output, last = run_command("eval.py", *common, *more, f"--out={place / 'b'}")
    assert status == 0, last
    assert "alpha-QE (3, alpha = 3)" in output
    reports = ",".join(str(place / name / "report.json") for name in "ab")
    status, output, last = run_command("eval.py", f"--compare={reports}")
    assert status == 0, last
    assert "95 %" in output
    report = json.loads((place / "b" / "report.json").read_text())
    assert (
        report["settings"]["expansion"] == "alpha" and "alsologtostderr" not in report["settings"]
    )
    assert any("28 distractors" in note for note in report["results"][0]["notes"])


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train.py", ["--run_dir=x", "--dataset=folder", "--data_dir=nowhere"], "nowhere"),
        ("train.py", ["--run_dir=x", "--steps=none"], "--steps"),
        ("train.py", ["--run_dir=x", "--colour=red"], "colour"),
        ("train.py", [], "--run_dir"),
        ("eval.py", ["--descriptors=nowhere", "--data_dir=photos"], "--descriptors: 'nowhere'"),
        ("eval.py", ["--descriptors=x", "--data_dir=photos", "--resolutions=big"], "'big'"),
        ("eval.py", ["--data_dir=photos"], "--descriptors"),
        ("export_savedmodel.py", ["--model=nowhere", "--out=x"], "nowhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_one_line(place, run_command, script, arguments, message):
    status, output, last = run_command(script, *arguments, folder=place)
    assert status != 0 and output == ""
    assert last.startswith("error: ") and message in last
    assert not (place / "x").exists()
