"""Gradients in chunks equal those of the whole batch; clipping and averaging against formulas."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import make_loss
from darac_tf.models import build_descriptor
from darac_tf.training.freezing import set_batch_norm
from darac_tf.training.state import WeightAverage
from darac_tf.training.step import embedder, in_chunks
from tests.helpers import write_backbone


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    model = build_descriptor(write_backbone(folder / "small.keras"), pooling="darac")
    set_batch_norm(model, "frozen")
    return model


def plain_gradients(model, loss, images, labels):
    """Loss and gradients as everybody would compute them."""
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=True))
    return value, tape.gradient(value, variables)


@pytest.mark.parametrize("name", ["nra", "softmax", "contrastive"])
@pytest.mark.parametrize("chunk_size", [1, 4, 12])
def test_chunks_equal_the_whole_batch(model, name, chunk_size):
    loss = make_loss(name, 4, model.output_shape[-1])
    variables = [v.value for v in model.trainable_variables]
    images = tf.random.stateless_uniform([12, 24, 24, 3], [1, 2], 0, 255)
    labels = tf.constant([0, 1, 2, 3] * 3)
    embed = embedder(model)

    def gradients(images, run):
        embeddings, hand_on = run(images)
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(labels, embeddings)
        return value, hand_on(tape.gradient(value, embeddings))

    value, found = tf.function(gradients)(images, in_chunks(embed, variables, chunk_size))
    expected_value, expected = plain_gradients(model, loss, images, labels)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    largest = max(float(tf.reduce_max(tf.abs(each))) for each in expected)
    assert largest > 0 and len(found) == len(expected) == len(variables)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)


def test_chunks_hold_one_chunk_in_the_network(model):
    """The network never sees more than a chunk: what bounds its memory."""
    seen = []

    def embed(images):
        seen.append(images.shape[0])
        return model(images, training=True)

    run = in_chunks(embed, [v.value for v in model.trainable_variables], 3)

    @tf.function
    def both_ways(images):
        embeddings, hand_on = run(images)
        return hand_on(tf.ones_like(embeddings))

    both_ways(tf.zeros([12, 24, 24, 3]))
    assert set(seen) == {3} and len(seen) >= 2


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
