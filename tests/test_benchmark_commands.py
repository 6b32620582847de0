"""Benchmarks as commands, on tiny data: that they still run and print their tables."""

import json

import numpy as np
import pytest
from PIL import Image

from darac_tf.data.training_sets.prepared import read_prepared
from tests.helpers import write_backbone, write_collection


@pytest.fixture
def printed_by(run_command):
    """Function of a benchmark and its flags to what it prints."""

    def run(module, *flags):
        status, output, last = run_command(f"benchmarks.{module}", *flags)
        assert status == 0, last
        return output

    return run


def _rows(printed):
    """Cells of the lines of a Markdown table, without its header."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
def test_sampler_scale(printed_by):
    printed = printed_by("sampler_scale", "--images=900", "--classes=30", "--batches=3")
    assert "900 images, 30 classes" in printed and "until first batch:" in printed


@pytest.mark.slow
def test_a_stand_in_repeats_the_images_of_a_prepared_set(printed_by, run_command, tmp_path):
    photos = write_collection(tmp_path / "photos", 2, 3)
    own, made = tmp_path / "own", tmp_path / "made"
    assert (
        run_command("prepare", f"--data_dir={photos}", "--dataset=folder", f"--out={own}")[0] == 0
    )
    sizes = ("--images=70", "--classes=9", f"--records={own}", f"--out={made}")
    assert printed_by("sampler_scale", *sizes) == ""
    found, given = read_prepared(made), read_prepared(own)
    assert (len(found), len(found.class_names)) == (70, 9)
    assert found.read([6, 65]).numpy().tolist() == given.read([0, 5]).numpy().tolist()
    assert "is there already" in run_command("benchmarks.sampler_scale", *sizes)[2]


@pytest.mark.slow
def test_input_pipeline(printed_by, tmp_path):
    folder = write_collection(tmp_path / "photos", 13, 4)
    printed = printed_by(
        "input_pipeline", f"--data_dir={folder}", "--image_size=32", "--steps=12", "--repeats=1"
    )
    names = [row[0] for row in _rows(printed)]
    assert names == ["decode and resize", "training", "training, --light=0"]
    assert all(float(row[1]) > 0 for row in _rows(printed))


@pytest.mark.slow
def test_scaled_decoding(printed_by, tmp_path):
    rng = np.random.default_rng(0)
    for label in range(2):
        (tmp_path / "photos" / str(label)).mkdir(parents=True)
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8))
        small.resize((80, 60), Image.BICUBIC).save(tmp_path / "photos" / str(label) / "a.jpg")
    flags = ["--dataset=folder", f"--data_dir={tmp_path / 'photos'}", "--side=320", "--images=2"]
    backbone = write_backbone(tmp_path / "small.keras")
    printed = printed_by(
        "scaled_decoding", *flags, f"--backbone={backbone}", "--sizes=48,300", "--repeats=1"
    )
    small, large, both = _rows(printed)
    assert 0.9 < float(small[-1]) < 1
    # Nothing is decoded at a part of its size where 300 of 320 pixels are needed.
    assert float(large[-1]) == float(both[-1]) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_scale_measures_rates_and_plans_by_them(printed_by, run_command, tmp_path):
    rates = tmp_path / "rates.json"
    flags = [f"--folder={tmp_path / 'parts'}", f"--save_rates={rates}", "--rows=20", "--dim=32"]
    printed = printed_by("scale", *flags)
    assert sum(line.startswith("| 20 |") for line in printed.splitlines()) == 3
    printed_by("scale", "--what=index", *flags)
    assert not list((tmp_path / "parts").iterdir())
    known = json.loads(rates.read_text())
    assert known["dim"] == 32 and {"whiten", "index", "recall"} <= set(known)
    rates.write_text(
        json.dumps(known | {"training": 3600, "whiten": 100, "index": 50, "recall": 200})
    )
    plan = ("--what=plan", "--rows=360000", f"--rates={rates}", "--nodes=1,4", "--dim=32")
    printed = printed_by("scale", *plan, "--described_per_second=10", "--node_price=2")
    assert _rows(printed) == [
        # 10 h of describing; 1 + 1 + 2 + 0.5 h for the rest; 2 an hour; 10 images of 1.6 Mbit.
        ["1", "10.0", "4.5", "14.5", "29.0", "16"],
        ["4", "2.5", "4.5", "7.0", "29.0", "64"],
    ]
    assert (
        "are of --dim=32"
        in run_command("benchmarks.scale", *plan[:-1], "--described_per_second=1")[2]
    )


@pytest.mark.slow
def test_training_run(printed_by, tmp_path):
    folder = write_collection(tmp_path / "photos", classes=6, images=4)
    backbone = write_backbone(tmp_path / "small.keras")
    flags = [f"--data_dir={folder}", "--val_classes=2", f"--backbone={backbone}", "--steps=5"]
    flags += ["--image_sizes=32,48", "--classes_per_batch=3", "--val_every=3", "--repeats=1"]
    rows = _rows(printed_by("training_run", *flags))
    assert [row[0] for row in rows] == ["12 at 32", "12 at 48"]
    for row in rows:
        _, bare, step, whole, rate, ratio = row
        assert 0 < float(step) <= float(whole)
        assert float(rate) == pytest.approx(12 / float(whole), rel=0.01)
        assert float(ratio) == pytest.approx(float(bare) / float(whole), abs=6e-4)
