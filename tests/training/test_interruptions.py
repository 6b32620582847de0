"""Runs that are cut off: metrics without gaps, SIGTERM, and the names behind a loss that is NaN."""

import csv
import dataclasses
import os
import signal

import keras
import numpy as np
import pytest

from darac_tf.data.labelled import read_csv
from darac_tf.errors import UserError
from darac_tf.training.config import TrainConfig
from darac_tf.training.monitor import MetricsFile
from darac_tf.training.run import train
from tests.helpers import write_backbone, write_collection
from tests.training.cut_runs import during, interrupt
from tests.training.short_runs import light_steps

pytestmark = pytest.mark.usefixtures("eagerly_in_module")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interruptions")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=5, images=4)),
        val_classes=2,
        backbone=write_backbone(folder / "small.keras"),
        pooling="gem",
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=4,
        warmup_steps=1,
        val_every=4,
        checkpoint_every=2,
        chunk_size=3,
        clip_norm=0.5,
        average_decay=0.9,
    )


def _terminate(step, images, labels):
    os.kill(os.getpid(), signal.SIGTERM)
    return step(images, labels)


def _rows(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    ("action", "left"),
    [
        (_terminate, SystemExit),
        pytest.param(interrupt, KeyboardInterrupt, marks=pytest.mark.slow),
    ],
    ids=["terminated", "killed, with steps that train"],
)
def test_a_cut_run_ends_as_a_whole_one(config, action, left, tmp_path, monkeypatch):
    if action is _terminate:
        light_steps(monkeypatch)
    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    train(config, whole)
    with monkeypatch.context() as patch, pytest.raises(left) as error:
        during(patch, 3, action)
        train(config, run_dir)
    if left is SystemExit:
        assert error.value.code == "terminated after step 3; go on with --resume"
        assert (run_dir / "checkpoints" / "ckpt-3.index").exists()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(config, run_dir, resume=True)
    expected, found = _rows(whole), _rows(run_dir)
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert len({tuple(row[:2]) for row in found}) == len(found) > 10
    for a, b in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(float(a[2]), float(b[2]), rtol=1e-4)
    cut, uncut = (keras.models.load_model(d / "last.keras") for d in (run_dir, whole))
    for a, b in zip(cut.get_weights(), uncut.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_nan_names_the_images_of_the_step(config, tmp_path, monkeypatch):
    given = []

    def fail(step, images, labels):
        given.extend(labels.numpy())
        return np.nan, 1.0

    light_steps(monkeypatch)
    during(monkeypatch, 2, fail)
    with pytest.raises(UserError, match=r"step 2: the loss is nan, .* Its images: ") as error:
        train(config, tmp_path / "run")
    training = read_csv(tmp_path / "run" / "train.csv")
    label_of = dict(zip(training.paths, training.labels, strict=True))
    names = str(error.value).partition("Its images: ")[2].split(", ")
    assert [label_of[name] for name in names] == given


def test_metrics_beyond_the_step_are_dropped(tmp_path):
    file = MetricsFile(tmp_path, 0)
    for step in (1, 2, 3):
        file.write(step, {"loss": step / 3})
    file.close()
    with (tmp_path / "metrics.csv").open("a") as half:
        half.write("4,los")
    file = MetricsFile(tmp_path, 2)
    file.write(3, {"loss": 0.1})
    file.close()
    values = [["1", "loss", str(1 / 3)], ["2", "loss", str(2 / 3)], ["3", "loss", "0.1"]]
    assert _rows(tmp_path) == [["step", "name", "value"], *values]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk_size": 4}, "--chunk_size=4: must divide the batch of 6 images"),
        ({"batch_norm": "train"}, "--chunk_size=3: needs --batch_norm=frozen"),
        ({"clip_norm": 0.0}, "--clip_norm=0.0: must be above 0"),
        ({"average_decay": 1.0}, "--average_decay=1.0: must lie in"),
    ],
)
def test_refused_settings(config, change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(config, **change)
