"""The paper's tables: rows that can be measured are, the others say what is missing."""

import json
from dataclasses import replace

import pytest

from darac_tf.data import load_dataset
from darac_tf.data.training_sets import prepare
from darac_tf.errors import UserError
from darac_tf.evaluation import paper_tables
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.options import measure
from darac_tf.evaluation.paper_tables import load_rows, measure_table
from darac_tf.evaluation.paper_tables.runs import differences
from darac_tf.reports.markdown import ABSENT
from darac_tf.training.config import TrainConfig
from darac_tf.training.configs import load_config
from darac_tf.training.run import train
from tests.data.benchmarks import synthetic
from tests.helpers import write_backbone, write_collection


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    config = TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=6, images=4)),
        backbone=write_backbone(folder / "small.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=2,
        warmup_steps=1,
    )
    train(config, folder / "runs" / "darac-GL")
    synthetic.write_oxford(folder / "benchmarks" / "oxford5k")
    synthetic.write_holidays(folder / "benchmarks" / "holidays")
    return folder


@pytest.fixture
def options(place):
    return EvalConfig(
        data_dir=str(place / "benchmarks"),
        runs_dir=str(place / "runs"),
        backbone=str(place / "small.keras"),
        batch_pixels=100_000,
        whiten_dim=4,
        whiten_images=20,
        allow_other_runs=True,
    )


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
def test_ablation(place, options, tmp_path):
    text = measure_table(replace(options, table="ablation", out=str(tmp_path / "out")))
    header, _, *rows = _cells(text)
    names = ["Oxford (paper)", "Oxford (here)", "Paris (paper)", "Paris (here)"]
    assert header[4:] == [*names, "Holidays (paper)", "Holidays (here)"]
    assert len(rows) == len(load_rows("ablation"))
    assert [row[4] for row in rows] == ["48.7", "75.3", "77.6", "81.4", "82.2", "83.4", "88.2"]
    measured = [row[5] != ABSENT for row in rows]
    assert measured == [True, False, True, True, True, True, False]
    assert rows[0][2] == "small" and rows[2][2] == "photos"
    assert rows[5][3] == "299+540+1020"
    assert "Glob. Avg. (GL) on oxford5k: there is no" in text
    assert "train.py --config=glob_avg-GL --run_dir=" in text and "paris6k" in text
    assert "Runs that are not the rows':\n\n- " in text and "steps=2, not 200000" in text
    assert (tmp_path / "out" / "table.md").read_text() == text + "\n"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["results"]) == 10  # 5 rows on 2 sets
    # Published figures of Holidays are of upright images.
    notes = [" ".join(result["notes"]) for result in report["results"]]
    assert ["upright by EXIF orientation" in note for note in notes] == [False, True] * 5
    assert report["results"][-1]["whitening"] == "PCA on darac-GL/train (20 of 24 images)"
    # The same as an evaluation by hand.
    by_hand = replace(
        options,
        descriptors=[str(place / "runs" / "darac-GL")],
        dataset="oxford5k",
        data_dir=str(place / "benchmarks" / "oxford5k"),
        whiten_dim=None,
        whiten_images=None,
    )
    (row,) = measure(by_hand)
    assert f"{100 * row.result.scores['mAP (Oxford)']:.2f}" == rows[2][5]


@pytest.mark.slow
def test_own_images_and_whitening_images(place, options, tmp_path):
    header, *rows = (place / "runs" / "darac-GL" / "train.csv").read_text().splitlines()
    some = tmp_path / "own" / "train.csv"
    some.parent.mkdir()
    some.write_text("\n".join([header, *sorted(rows)[:6]]))
    own = replace(
        options,
        table="comparison",
        table_sets=[f"csv:{some}"],
        whiten_images=8,
        whiten_dataset="oxford5k",
        whiten_data_dir=str(place / "benchmarks" / "oxford5k"),
    )
    text = measure_table(own)
    header, _, *rows = _cells(text)
    assert header[4:] == ["own"]
    assert [row[0] for row in rows] == ["DELF", "GeM", "DIR", "DARAC", "DARAC"]
    assert float(rows[3][4]) > 0
    assert "DELF (GL) on csv: there is no" in text


def test_nothing_to_measure(options):
    with pytest.raises(UserError, match=r"no row of the table can be measured: DELF"):
        measure_table(replace(options, table="comparison", runs_dir=None))
    with pytest.raises(UserError, match="--table needs --data_dir"):
        measure_table(replace(options, table="ablation", data_dir=None))


def test_holidays_alone_is_turned_as_asked(options, place, monkeypatch):
    row = load_rows("ablation")[0]
    monkeypatch.setattr(paper_tables, "load_rows", lambda _: [row])
    turned = place / "benchmarks" / "holidays" / "rotations.txt"
    seen = []

    def evaluate(_, task, settings):
        seen.append(" ".join(task.notes))
        return iter(())

    monkeypatch.setattr(paper_tables, "evaluate", evaluate)
    options = replace(options, table="ablation", table_sets=["oxford5k", "holidays"])
    for changes in ({"rotation_list": str(turned)}, {"orientation": "stored"}, {}):
        with pytest.raises(ValueError, match="unpack"):
            measure_table(replace(options, **changes, table_sets=["holidays"]))
    words = ["upright by the list rotations.txt; 1", "as stored", "upright by EXIF orientation"]
    assert all(word in note for word, note in zip(words, seen, strict=True))
    with pytest.raises(UserError, match="--orientation=list and --rotation_list are for holidays"):
        measure_table(replace(options, orientation="list", table_sets=["oxford5k"]))


def _write_run(folder, name, **changes):
    settings = load_config(name) | {"data_dir": str(folder / "prepared")} | changes
    TrainConfig(**settings).write(folder / name)
    (folder / name / ("pca.npz" if settings.get("matching") == "local" else "last.keras")).touch()
    return folder / name


@pytest.fixture
def prepared(tmp_path):
    folder = write_collection(tmp_path / "photos", classes=2, images=2)
    images = replace(load_dataset("folder", folder), name="landmarks_clean")
    prepare(images, tmp_path / "prepared", 32, progress=False)
    return tmp_path


def test_a_run_is_held_against_its_row(prepared):
    assert differences(_write_run(prepared, "darac-CL"), "darac-CL") == []
    others = {"steps": 1000, "warmup_steps": 9, "pooling": "mac", "backbone": "ResNet101"}
    others |= {"backbone_weights": "none", "loss": "triplet"}
    folder = _write_run(prepared, "darac-GL", **others)
    (folder / "last.keras").unlink()
    assert differences(folder, "darac-GL") == [
        "pooling=mac, not darac",
        "loss=triplet, not nra",
        "steps=1000, not 200000",
        "backbone=ResNet101, not ResNet50V2",
        "backbone_weights=none, not imagenet",
        "trained on landmarks_clean, not gldv2_clean",
        "has no last.keras: not finished",
    ]
    gone = _write_run(prepared, "glob_avg-GL", data_dir="gone")
    assert differences(gone, "glob_avg-GL") == [
        "trained on gone, which is no prepared set any more, not gldv2_clean"
    ]


def test_the_run_that_a_run_begins_with_is_held_against_its_own(prepared):
    first = _write_run(prepared, "dir-CL-classes")
    assert differences(_write_run(prepared, "dir-CL", backbone=str(first)), "dir-CL") == []
    _write_run(prepared, "dir-CL-classes", loss="nra")
    assert differences(prepared / "dir-CL", "dir-CL") == [f"loss=nra, not softmax in {first}"]
    _write_run(prepared, "dir-CL", backbone="ResNet101")
    assert differences(prepared / "dir-CL", "dir-CL") == [
        "backbone=ResNet101, not runs/dir-CL-classes"
    ]


def test_other_runs_are_refused_before_anything_is_described(options, place, monkeypatch):
    monkeypatch.setattr(paper_tables, "evaluate", None)
    with pytest.raises(UserError, match=r"not the runs of .*darac-GL: .*steps=2, not 200000"):
        measure_table(replace(options, table="ablation", allow_other_runs=False))
