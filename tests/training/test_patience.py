"""Early stopping on validation mAP: when it stops, what it keeps, and that it stays stopped."""

import dataclasses

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.models import load_descriptor
from darac_tf.training import run as run_module
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import train
from darac_tf.training.validation import Validator
from tests.helpers import write_backbone, write_collection
from tests.training.cut_runs import during, interrupt
from tests.training.short_runs import light_steps

pytestmark = pytest.mark.usefixtures("eagerly_in_module")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patience")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=5, images=3)),
        val_classes=2,
        backbone=write_backbone(folder / "small.keras"),
        pooling="gem",
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=20,
        warmup_steps=1,
        learning_rate=1e-2,
        val_every=2,
        checkpoint_every=3,
        patience=2,
    )


class Validation:
    """Stands for `Validator`: gives scores as told, and keeps the weights they were asked for."""

    def __init__(self, *scores):
        self._scores = list(scores)
        self.weights = []

    def __call__(self, model, images, config):
        self._model, self.images = model, images
        self.descriptors = np.zeros((len(images), 2), np.float32)
        return self

    def scores(self):
        self.weights.append(self._model.get_weights())
        return {Validator.METRIC: self._scores.pop(0)}

    def draw(self, path, title):
        pass


@pytest.fixture
def scored(monkeypatch):
    def score(*scores):
        validation = Validation(*scores)
        monkeypatch.setattr(run_module, "Validator", validation)
        light_steps(monkeypatch)
        return validation

    return score


def checkpoints(run_dir):
    return sorted(int(file.stem[5:]) for file in (run_dir / "checkpoints").glob("*.index"))


def assert_weights(path, expected):
    for a, b in zip(load_descriptor(path).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_stops_and_stays_stopped(config, scored, tmp_path):
    # After steps 0, 2, 4, 6 and 8. An equal score is no better one.
    validation = scored(0.2, 0.3, 0.5, 0.4, 0.5)
    result = train(config, tmp_path)
    assert (result.steps, result.best, result.best_step) == (8, 0.5, 4)
    assert len(result.losses) == 8 and checkpoints(tmp_path) == [6, 8]
    assert_weights(tmp_path / "best.keras", validation.weights[2])
    assert_weights(tmp_path / "last.keras", validation.weights[4])
    assert not np.array_equal(validation.weights[2][0], validation.weights[4][0])
    assert "8 of 20" in (tmp_path / "summary.md").read_text()
    files = {name: (tmp_path / name).read_bytes() for name in ("best.keras", "last.keras")}
    metrics = (tmp_path / "metrics.csv").read_text()

    scored()  # Resumed, it neither trains nor validates.
    again = train(config, tmp_path, resume=True)
    assert (again.steps, again.best, again.best_step, len(again.losses)) == (8, 0.5, 4, 0)
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert (tmp_path / "metrics.csv").read_text() == metrics
    assert checkpoints(tmp_path) == [6, 8]


def test_patience_outlives_an_interruption(config, scored, tmp_path, monkeypatch):
    scored(0.2, 0.3, 0.5, 0.4)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        during(patch, 8, interrupt)
        train(config, tmp_path)
    assert checkpoints(tmp_path) == [3, 6]
    scored(0.4)
    result = train(config, tmp_path, resume=True)
    assert (result.steps, result.best, result.best_step) == (8, 0.5, 4)
    assert len(result.losses) == 2


@pytest.mark.parametrize(
    ("patience", "scores", "steps", "best_step"),
    [
        (1, [0.5, 0.4], 2, 0),
        (2, [0.1, 0.2, 0.1, 0.3, 0.1, 0.1], 10, 6),
        pytest.param(None, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0], 12, 0, marks=pytest.mark.slow),
    ],
)
def test_when_a_run_stops(config, scored, tmp_path, patience, scores, steps, best_step):
    scored(*scores)
    result = train(dataclasses.replace(config, patience=patience, steps=12), tmp_path)
    assert (result.steps, result.best_step) == (steps, best_step)


def test_refused_settings(config):
    with pytest.raises(UserError, match="--patience=0: must be at least 1"):
        dataclasses.replace(config, patience=0)
    with pytest.raises(UserError, match="--patience=2: early stopping goes by validation"):
        dataclasses.replace(config, val_classes=0)
