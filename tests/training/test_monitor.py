"""What a run shows: the scalars of a step, and the descriptors of a validation."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.labelled import read_folder
from darac_tf.models import build_descriptor
from darac_tf.training.config import TrainConfig
from darac_tf.training.monitor import Monitor
from darac_tf.training.state import set_batch_norm
from darac_tf.training.validation import Validator
from tests.helpers import write_backbone, write_collection


def _scalars(run_dir):
    """Dictionary of (tag, step) to value of a run's events."""
    (events,) = (run_dir / "tensorboard").glob("events*")
    return {
        (value.tag, event.step): float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
        if value.tag != "settings"
    }


def test_scalars_are_those_of_the_steps_since_the_last_ones(tmp_path):
    config = TrainConfig(steps=5, log_every=2, warmup_steps=0)
    optimizer = SimpleNamespace(
        backbone=SimpleNamespace(learning_rate=0.25), head=SimpleNamespace(learning_rate=0.5)
    )
    monitor = Monitor(tmp_path, config, optimizer)
    for step, seconds in enumerate([1.0, 3.0, 2.0, 1.0, 0.5], start=1):
        monitor.step(step, 1 / step, 0.125, 6, seconds)
    monitor.close()
    found = _scalars(tmp_path)
    assert {step for _, step in found} == {2, 4, 5}
    for step, rate in ((2, 12 / 4), (4, 12 / 3), (5, 6 / 0.5)):
        assert found["train/images_per_second", step] == pytest.approx(rate)
        assert found["train/loss", step] == pytest.approx(1 / step)
        assert found["train/learning_rate", step] == 0.25


def test_validation_leaves_the_statistics_of_batch_normalisation_alone(tmp_path):
    images = read_folder(write_collection(tmp_path / "photos", 2, 2))
    model = build_descriptor(write_backbone(tmp_path / "small.keras"), pooling="gem")
    set_batch_norm(model, "train", momentum=0.5)
    before = [weight.copy() for weight in model.get_weights()]
    Validator(model, images, TrainConfig(pooling="gem", image_size=32)).scores()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
