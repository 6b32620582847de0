"""Learning rate, weight decay, the two groups of weights, and their average."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.models import build_descriptor
from darac_tf.training.config import TrainConfig
from darac_tf.training.state import GroupedOptimizer, WeightAverage, set_batch_norm, warmup_cosine
from tests.helpers import write_backbone


def test_warmup_then_cosine():
    schedule = warmup_cosine(2.0, 10, 110)
    rates = [float(schedule(step)) for step in (0, 5, 10, 60, 110)]
    np.testing.assert_allclose(rates, [0, 1, 2, 1, 0], atol=1e-6)
    np.testing.assert_allclose(float(warmup_cosine(2.0, 0, 100)(0)), 2.0)


@pytest.fixture
def model(tmp_path):
    return build_descriptor(write_backbone(tmp_path / "small.keras"))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_only_kernels_of_the_backbone_decay(model, name):
    config = TrainConfig(optimizer=name, weight_decay=0.1, warmup_steps=0, learning_rate=1.0)
    optimizer = GroupedOptimizer(config, model)
    before = [v.numpy() for v in optimizer.variables]
    optimizer.apply([tf.zeros(v.shape) for v in optimizer.variables])
    for variable, old in zip(optimizer.variables, before, strict=True):
        new = variable.numpy()
        if "kernel" in variable.path:
            np.testing.assert_allclose(new, 0.9 * old, rtol=1e-5)
        else:
            np.testing.assert_array_equal(new, old)


def test_each_group_has_its_own_rate(model):
    config = TrainConfig(learning_rate=1e-3, head_learning_rate=0.1, warmup_steps=0, weight_decay=0)
    optimizer = GroupedOptimizer(config, model)
    before = {v.path: v.numpy() for v in optimizer.variables}
    optimizer.apply([tf.ones(v.shape) for v in optimizer.variables])
    for variable in optimizer.variables:
        step = 0.1 if variable.path.startswith("pooling") else 1e-3
        np.testing.assert_allclose(before[variable.path] - variable.numpy(), step, rtol=1e-2)


def test_batch_norm_is_frozen_or_trained(model):
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    norm = next(
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    set_batch_norm(model, "frozen")
    before = [w.copy() for w in norm.get_weights()]
    model(pixels, training=True)
    for old, new in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not norm.trainable_variables
    set_batch_norm(model, "train", momentum=0.5)
    model(pixels, training=True)
    assert np.abs(norm.moving_mean.numpy() - before[2]).max() > 0
    assert norm.momentum == 0.5 and len(norm.trainable_variables) == 2


def test_nothing_to_train(model):
    model.trainable = False
    with pytest.raises(UserError, match="nothing to train"):
        GroupedOptimizer(TrainConfig(), model)


def test_average_of_weights():
    class Variable:
        def __init__(self, value):
            self.value = tf.Variable(value)

    variable, values = Variable([1.0, -2.0]), [np.array([3.0, 0.0]), np.array([5.0, 7.0])]
    average = WeightAverage([variable], 0.2)
    expected = np.array([1.0, -2.0])
    for step, value in enumerate(values, start=1):
        variable.value.assign(value)
        average.update()
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(average.averages[0], expected, rtol=1e-6)
    with average.in_place():
        np.testing.assert_allclose(variable.value, expected, rtol=1e-6)
    np.testing.assert_array_equal(variable.value, values[-1])
