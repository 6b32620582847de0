"""What the tests of the losses share: batches, gradients, and the comparison with an oracle."""

import numpy as np
import tensorflow as tf


def make_batch(labels, dim=4, seed=0):
    """Labels as an array, and random float64 embeddings."""
    labels = np.array(labels)
    return labels, np.random.default_rng(seed).normal(size=(len(labels), dim))


def value_and_gradient(loss, labels, embeddings):
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss(labels, embeddings)
    return value, tape.gradient(value, embeddings)


def unit_rows(embeddings):
    """Rows of length one, float64, in a list."""
    return [np.float64(row) / np.linalg.norm(np.float64(row)) for row in embeddings]


def central_differences(function, x, step=1e-6):
    """Gradient of `function` at the float64 array `x`."""
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = step
        result[index] = (function(x + moved) - function(x - moved)) / (2 * step)
    return result


def assert_equals_oracle(loss, oracle, labels, embeddings, rtol=2e-5):
    """Compares value and gradient with `oracle(labels, embeddings)` and its differences."""
    value, gradient = value_and_gradient(loss, labels, tf.constant(embeddings, tf.float32))
    assert value.dtype == tf.float32
    assert value.shape == ()
    np.testing.assert_allclose(value, oracle(labels, embeddings), rtol=rtol, atol=1e-6)
    expected = central_differences(lambda x: oracle(labels, x), embeddings)
    np.testing.assert_allclose(gradient, expected, atol=5e-5 * max(1, np.abs(expected).max()))
