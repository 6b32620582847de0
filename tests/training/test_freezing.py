"""Frozen stages stay as they are, to the last bit, and what comes after them learns."""

import dataclasses

import keras
import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import backbone_of
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import train
from darac_tf.training.state import GroupedOptimizer, freeze_until, set_batch_norm
from tests.helpers import write_collection

pytestmark = pytest.mark.usefixtures("eagerly_in_module")


def write_stages(path):
    """A network with a branch: a -> norm -> (b, side) -> add -> c -> second norm."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((None, None, 3))
    options = {"padding": "same", "activation": "relu"}
    x = keras.layers.Conv2D(8, 4, strides=4, name="a", **options)(inputs)
    x = keras.layers.BatchNormalization(name="first_norm")(x)
    b = keras.layers.Conv2D(8, 3, name="b", **options)(x)
    side = keras.layers.Conv2D(8, 1, name="side", **options)(x)
    x = keras.layers.Add(name="stage_add")([b, side])
    x = keras.layers.Conv2D(16, 3, name="c", **options)(x)
    x = keras.layers.BatchNormalization(name="second_norm")(x)
    keras.Model(inputs, x, name="stages").save(path)
    return str(path)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("freezing")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=4, images=3)),
        backbone=write_stages(folder / "stages.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=1,
        warmup_steps=0,
        learning_rate=1e-2,
        weight_decay=0.1,
        batch_norm="train",
    )


def changed_layers(config, run_dir):
    """Names of the backbone's layers whose weights a run changed: all of a layer, or none."""
    train(config, run_dir)
    before = keras.models.load_model(config.backbone)
    after, _ = backbone_of(keras.models.load_model(run_dir / "last.keras"))
    names = set()
    for layer in before.layers:
        pairs = zip(layer.get_weights(), after.get_layer(layer.name).get_weights(), strict=True)
        changed = [(a != b).any() for a, b in pairs]
        if any(changed):
            assert all(changed), layer.name  # statistics among them
            names.add(layer.name)
    return names


IN_CI = [
    ({}, {"a", "first_norm", "b", "side", "c", "second_norm"}),
    ({"freeze_until": "b"}, {"side", "c", "second_norm"}),
    ({"freeze_until": "stage_add", "batch_norm": "frozen"}, {"c"}),
]
MORE = [
    ({"freeze_until": "first_norm"}, {"b", "side", "c", "second_norm"}),
    ({"freeze_until": "stage_add"}, {"c", "second_norm"}),
    ({"batch_norm": "frozen"}, {"a", "b", "side", "c"}),
    # No stage is trained: the pooling still is.
    ({"freeze_until": "second_norm"}, set()),
]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [*IN_CI, *(pytest.param(*each, marks=pytest.mark.slow) for each in MORE)],
    ids=lambda value: " ".join(value.values()) or "none" if isinstance(value, dict) else "",
)
def test_what_a_run_changes(config, changes, expected, tmp_path):
    run_dir = tmp_path / "run"
    assert changed_layers(dataclasses.replace(config, **changes), run_dir) == expected
    pooling = keras.models.load_model(run_dir / "last.keras").get_layer("pooling")
    assert all(np.abs(weight - 1).max() > 1e-4 for weight in pooling.get_weights())


def test_frozen_weights_have_no_place_in_the_optimiser(config):
    model = build_descriptor(config.backbone)
    set_batch_norm(model, "frozen")
    every = len(GroupedOptimizer(config, model).backbone.variables)
    freeze_until(model, "stage_add")
    optimizer = GroupedOptimizer(config, model)
    assert [v.path.split("/")[-2:] for v in optimizer.variables[:2]] == [
        ["c", "kernel"],
        ["c", "bias"],
    ]
    assert len(optimizer.variables) == 3 and len(optimizer.backbone.variables) < every


def test_refused(config, tmp_path):
    with pytest.raises(UserError, match="--freeze_until=conv9: stages has no such layer") as error:
        train(dataclasses.replace(config, freeze_until="conv9"), tmp_path / "run")
    assert "stage_add" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="Received: mode='thawed'"):
        set_batch_norm(build_descriptor(config.backbone), "thawed")
    spoc = dataclasses.replace(config, freeze_until="second_norm", pooling="spoc")
    with pytest.raises(UserError, match="nothing to train"):
        train(spoc, tmp_path / "run")
