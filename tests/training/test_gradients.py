"""Gradients in chunks equal those of the whole batch; clipping and averaging against formulas."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import make_loss
from darac_tf.models import build_descriptor
from darac_tf.training.averaging import WeightAverage
from darac_tf.training.gradients import in_chunks, whole_batch
from darac_tf.training.step import set_batch_norm
from tests.helpers import write_backbone


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    model = build_descriptor(write_backbone(folder / "small.keras"), pooling="darac")
    set_batch_norm(model, "frozen")
    return model


@pytest.mark.parametrize("name", ["nra", "softmax", "contrastive"])
@pytest.mark.parametrize("chunk_size", [1, 4, 12])
def test_chunks_equal_the_whole_batch(model, name, chunk_size):
    loss = make_loss(name, 4, model.output_shape[-1])
    variables = [v.value for v in [*model.trainable_variables, *loss.trainable_variables]]
    images = tf.random.stateless_uniform([12, 24, 24, 3], [1, 2], 0, 255)
    labels = tf.constant([0, 1, 2, 3] * 3)
    value, expected = tf.function(whole_batch(model, loss, variables))(images, labels)
    compute = tf.function(in_chunks(model, loss, variables, chunk_size))
    found_value, found = compute(images, labels)
    np.testing.assert_allclose(found_value, value, rtol=1e-5)
    largest = max(float(tf.reduce_max(tf.abs(each))) for each in expected)
    assert largest > 0 and len(found) == len(expected) == len(variables)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)


def test_chunks_hold_one_chunk_in_the_network(model):
    """The network never sees more than a chunk: what bounds its memory."""
    seen = []

    class Spy:
        output_shape = model.output_shape

        def __call__(self, images, training):
            seen.append(images.shape[0])
            return model(images, training=training)

    loss = make_loss("nra", 4, model.output_shape[-1])
    variables = [v.value for v in model.trainable_variables]
    compute = tf.function(in_chunks(Spy(), loss, variables, 3))
    compute(tf.zeros([12, 24, 24, 3]), tf.range(12) // 3)
    assert set(seen) == {3}


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
