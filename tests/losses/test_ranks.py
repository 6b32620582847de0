"""Approximated ranks and transfers to similarities: logarithms, gradients and limits."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from darac_tf.losses.pairs import pairwise_distances
from darac_tf.losses.ranks import (
    LogRank,
    exponential_transfer,
    gaussian_ranks,
    log_ndtr,
    logistic_transfer,
    minmax_ranks,
    power_transfer,
    soft_ranks,
)

# Logarithms of r and of 1 - r, from r = e^-600 to 1 - r = e^-600.
SMALL = -np.array([600.0, 100, 40, 20, 15.1, 14.9, 10, 3, 1, 0.7])
LOG_RANK = np.concatenate([SMALL, np.log1p(-np.exp(SMALL))])
LOG_COMPLEMENT = np.concatenate([np.log1p(-np.exp(SMALL)), SMALL])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_log_ndtr_everywhere(jit_compile):
    z = np.concatenate([np.linspace(-40, 12, 1041), [-2e4, -300, -1e-6, 0, 1e-6, 300, 2e4]])
    z = z.astype(np.float32)
    function = tf.function(_value_and_gradient, jit_compile=jit_compile, autograph=False)
    value, gradient = function(tf.constant(z))
    exact = special.log_ndtr(z.astype(np.float64))
    # Above z = 10, where Phi is 1 - 1e-23, the value no longer changes.
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-23)
    slope = np.exp(-(z.astype(np.float64) ** 2) / 2 - exact) / np.sqrt(2 * np.pi)
    known = np.abs(z) < 38
    np.testing.assert_allclose(gradient[known], slope[known], rtol=2e-5, atol=1e-22)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("statistics", ["batch", "anchor"])
def test_gaussian_rank_is_the_normal_distribution_function(statistics):
    distances, index = _batch(9)
    rank = gaussian_ranks(distances, _one_hot(index), statistics)
    d = distances.numpy().astype(np.float64)
    for i, j in enumerate(index):
        others = np.delete(d[i], i) if statistics == "anchor" else d[~np.eye(9, dtype=bool)]
        r = special.ndtr((d[i, j] - others.mean()) / others.std())
        np.testing.assert_allclose(np.exp(rank.log_rank[i]), r, atol=1e-6)
        np.testing.assert_allclose(np.exp(rank.log_complement[i]), 1 - r, atol=1e-6)


@pytest.mark.parametrize("statistics", ["batch", "anchor"])
def test_minmax_rank_is_the_scaled_distance(statistics):
    distances, index = _batch(9)
    rank = minmax_ranks(distances, _one_hot(index), statistics)
    d = distances.numpy().astype(np.float64)
    for i, j in enumerate(index):
        others = d[i] if statistics == "anchor" else d
        low, high = others.min() - 1e-3, others.max() + 1e-3
        r = (d[i, j] - low) / (high - low)
        np.testing.assert_allclose(np.exp(rank.log_rank[i]), r, atol=1e-6)
        np.testing.assert_allclose(np.exp(rank.log_complement[i]), 1 - r, atol=1e-6)


def test_minmax_rank_is_finite_at_both_ends():
    # Image 0 and 1 are equal; 2 is the farthest of both.
    distances = tf.constant([[0.0, 0, 2], [0, 0, 2], [2, 2, 0]])
    for statistics_gradient in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(distances)
            rank = minmax_ranks(distances, _one_hot([1, 2, 0]), "batch", statistics_gradient)
            total = tf.reduce_sum(rank.log_rank) + tf.reduce_sum(rank.log_complement)
        near, far = np.log(1e-3 / 2.002), np.log(2.001 / 2.002)
        np.testing.assert_allclose(rank.log_rank, [near, far, far], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(rank.log_complement, [far, near, near], rtol=1e-3, atol=1e-6)
        assert np.isfinite(tape.gradient(total, distances)).all()


@pytest.mark.parametrize("statistics_gradient", [False, True])
def test_gradient_through_the_largest_distance(statistics_gradient):
    distances, index = _batch(9)
    with tf.GradientTape() as tape:
        tape.watch(distances)
        rank = minmax_ranks(distances, _one_hot(index), "anchor", statistics_gradient)
        total = tf.reduce_sum(rank.log_rank)
    moved = np.abs(tape.gradient(total, distances)) > 1e-6
    expected = np.zeros((9, 9), bool)
    expected[np.arange(9), index] = True
    if statistics_gradient:
        expected[np.arange(9), np.argmax(distances, axis=1)] = True
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("statistics_gradient", [False, True])
def test_gradient_through_the_statistics(statistics_gradient):
    distances, index = _batch(9)
    with tf.GradientTape() as tape:
        tape.watch(distances)
        rank = gaussian_ranks(distances, _one_hot(index), "anchor", statistics_gradient)
        total = tf.reduce_sum(rank.log_rank)
    moved = np.abs(tape.gradient(total, distances)) > 1e-6
    selected = np.zeros((9, 9), bool)
    selected[np.arange(9), index] = True
    if statistics_gradient:
        assert (moved.sum(axis=1) > 2).all()
    else:
        np.testing.assert_array_equal(moved, selected)


def test_cold_soft_rank_counts_the_nearer_images():
    distances, index = _batch(9)
    rank = soft_ranks(distances, _one_hot(index), temperature=1e-5)
    d = distances.numpy()
    for i, j in enumerate(index.numpy()):
        nearer = sum(d[i, k] < d[i, j] for k in range(9) if k not in (i, j))
        np.testing.assert_allclose(np.exp(rank.log_rank[i]), nearer / 7, atol=1e-6)
        np.testing.assert_allclose(np.exp(rank.log_complement[i]), 1 - nearer / 7, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.02, 0.05, 1.0])
def test_soft_rank_keeps_its_digits_at_both_ends(temperature):
    line = np.array([0.0, 0.01, 0.02, 1.0, 1.01, 1.9])
    distances = np.abs(line[:, None] - line[None]).astype(np.float32)
    for j in range(1, 6):
        index = np.array([j, 0, 0, 0, 0, 0])
        rank = soft_ranks(tf.constant(distances), _one_hot(index), temperature)
        others = [k for k in range(1, 6) if k != j]
        steps = (np.float64(distances[0, j]) - distances[0, others]) / temperature
        expected = [_log_mean_sigmoid(steps), _log_mean_sigmoid(-steps)]
        np.testing.assert_allclose(rank.log_rank[0], expected[0], rtol=2e-5)
        np.testing.assert_allclose(rank.log_complement[0], expected[1], rtol=2e-5)


def test_two_images_have_the_middle_rank():
    distances, index = tf.constant([[0.0, 1.2], [1.2, 0.0]]), tf.constant([1, 0])
    for rank in (
        gaussian_ranks(distances, _one_hot(index)),
        soft_ranks(distances, _one_hot(index)),
    ):
        np.testing.assert_allclose(np.exp(rank.log_rank), 0.5, atol=1e-6)
        np.testing.assert_allclose(np.exp(rank.log_complement), 0.5, atol=1e-6)


def _batch(n):
    rng = np.random.default_rng(0)
    index = (np.arange(n) + rng.integers(1, n, n)) % n
    return pairwise_distances(rng.normal(size=(n, 5))), tf.constant(index, tf.int32)


def _one_hot(index):
    return tf.one_hot(index, len(index))


def _log_mean_sigmoid(x):
    """In float64, with the digits of means near 1."""
    mean = special.expit(x).mean()
    return np.log(mean) if mean < 0.5 else np.log1p(-special.expit(-x).mean())


def _value_and_gradient(z):
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = log_ndtr(z)
    return value, tape.gradient(value, z)


def _logistic(power, r0):
    log_odds = power * (LOG_RANK - np.log(r0))
    return -np.logaddexp(0, log_odds), -np.logaddexp(0, -log_odds)


def _power(power, r0):
    # r < e^-40 adds nothing to log1p's argument in float64, so 1 - s is power * r there.
    log_s = power * LOG_COMPLEMENT
    return log_s, _log_one_minus(log_s, power)


def _exponential(power, r0):
    log_s = -power * np.exp(LOG_RANK)
    return log_s, _log_one_minus(log_s, power)


def _log_one_minus(log_s, power):
    with np.errstate(divide="ignore"):
        return np.where(LOG_RANK < -30, np.log(power) + LOG_RANK, np.log(-np.expm1(log_s)))


@pytest.mark.parametrize("power", [0.5, 2.0, 7.0])
@pytest.mark.parametrize(
    ("transfer", "exact"),
    [
        (logistic_transfer, _logistic),
        (power_transfer, _power),
        (exponential_transfer, _exponential),
    ],
)
def test_equals_the_formula_in_float64(transfer, exact, power):
    log_rank = tf.constant(LOG_RANK, tf.float32)
    log_complement = tf.constant(LOG_COMPLEMENT, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([log_rank, log_complement])
        result = transfer(LogRank(log_rank, log_complement), power, 0.1)
    for log_value, expected in zip(result, exact(power, 0.1), strict=True):
        np.testing.assert_allclose(log_value, expected, rtol=1e-5, atol=1e-6)
        gradients = tape.gradient(log_value, [log_rank, log_complement])
        assert all(np.isfinite(g).all() for g in gradients if g is not None)


@pytest.mark.parametrize("transfer", [logistic_transfer, power_transfer, exponential_transfer])
def test_similarity_falls_with_the_rank(transfer):
    r = np.linspace(0.001, 0.999, 200)
    rank = LogRank(tf.constant(np.log(r), tf.float32), tf.constant(np.log1p(-r), tf.float32))
    result = transfer(rank, 2.0, 0.1)
    similarity = np.exp(result.log_similar)
    assert (np.diff(similarity) < 0).all()
    np.testing.assert_allclose(similarity + np.exp(result.log_dissimilar), 1, atol=1e-6)


def test_logistic_is_one_half_at_r0():
    rank = LogRank(tf.math.log([0.07, 0.3]), tf.math.log([0.93, 0.7]))
    result = logistic_transfer(rank, 3.0, tf.constant([0.07, 0.3]))
    np.testing.assert_allclose(np.exp(result.log_similar), 0.5, atol=1e-6)
