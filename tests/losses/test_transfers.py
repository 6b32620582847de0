"""Transfers from ranks to similarities, down to ranks that float32 cannot hold."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses.ranks import LogRank
from darac_tf.losses.transfers import exponential_transfer, logistic_transfer, power_transfer

# Logarithms of r and of 1 - r, from r = e^-600 to 1 - r = e^-600.
SMALL = -np.array([600.0, 100, 40, 20, 15.1, 14.9, 10, 3, 1, 0.7])
LOG_RANK = np.concatenate([SMALL, np.log1p(-np.exp(SMALL))])
LOG_COMPLEMENT = np.concatenate([np.log1p(-np.exp(SMALL)), SMALL])


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
