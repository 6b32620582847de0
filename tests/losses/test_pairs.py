"""Distances of a batch and its positive and negative pairs."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses.pairs import pair_masks, pairwise_distances


def _exact(embeddings):
    unit = np.float64(embeddings)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    return np.linalg.norm(unit[:, None] - unit[None], axis=-1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_definition(dtype):
    x = (np.random.default_rng(0).normal(size=(9, 64)) * 3).astype(dtype)
    result = pairwise_distances(x)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, _exact(x), atol=2e-6)
    np.testing.assert_array_equal(np.diag(result), 0)
    squared = pairwise_distances(x, squared=True)
    np.testing.assert_allclose(squared, _exact(x) ** 2, atol=2e-6)
    assert np.min(squared) == 0


def test_by_hand():
    x = [[2.0, 0.0], [0.0, 0.1], [-5.0, 0.0]]
    expected = [[0, 2**0.5, 2], [2**0.5, 0, 2**0.5], [2, 2**0.5, 0]]
    np.testing.assert_allclose(pairwise_distances(x), expected, atol=1e-6)


def test_vectors_close_together_keep_their_distances():
    rng = np.random.default_rng(1)
    x = (rng.normal(size=64) + 1e-3 * rng.normal(size=(6, 64))).astype(np.float32)
    np.testing.assert_allclose(pairwise_distances(x), _exact(x), rtol=1e-3, atol=1e-8)


def test_gradient_equals_finite_differences():
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(5, 4)), rng.normal(size=(5, 5))
    result = _gradient(x.astype(np.float32), weights)
    step = 1e-6
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = step
        change = np.sum(weights * (_exact(x + move) - _exact(x - move))) / (2 * step)
        np.testing.assert_allclose(result[index], change, atol=1e-5)


@pytest.mark.parametrize("dim", [3, 64, 2048])
def test_equal_embeddings_have_a_small_finite_gradient(dim):
    x = np.random.default_rng(3).normal(size=(7, dim)).astype(np.float32)
    x[4] = x[1]
    x[6] = -x[1]
    distances = pairwise_distances(x).numpy()
    assert distances[1, 4] < 1e-3
    gradient = _gradient(x, np.ones((7, 7)))
    assert np.isfinite(gradient).all()
    # A unit vector's distance changes by at most its own movement: 12 pairs a vector, both ways.
    assert (np.linalg.norm(gradient * np.linalg.norm(x, axis=1, keepdims=True), axis=1) <= 12).all()


@pytest.mark.parametrize("row", [0.0, 1.0])
def test_collapsed_batch_has_zero_distances_and_gradient(row):
    x = np.full((5, 8), row, np.float32)
    np.testing.assert_array_equal(pairwise_distances(x), 0)
    np.testing.assert_array_equal(_gradient(x, np.ones((5, 5))), 0)


@pytest.mark.parametrize("as_column", [False, True])
def test_pair_masks(as_column):
    labels = np.array([7, 3, 7, 7, 2**24, 2**24 + 1])
    positives, negatives = pair_masks(labels[:, None] if as_column else labels)
    for i in range(6):
        for j in range(6):
            assert positives[i, j] == (i != j and labels[i] == labels[j])
            assert negatives[i, j] == (labels[i] != labels[j])


def _gradient(x, weights):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(pairwise_distances(x) * tf.cast(weights, tf.float32))
    return tape.gradient(total, x).numpy()
