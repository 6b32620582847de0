"""Nonlinear decreasing transfers from a rank to a similarity, both in (0, 1).

Each gives log s and log(1 - s) straight from log r and log(1 - r): neither underflows, so the
nearest negatives and the farthest positives keep their gradient.

Source: NRA loss (arXiv 1909.09427); the three forms are reconstructions.
"""

import math
from typing import NamedTuple

import tensorflow as tf

# Below this rank (3e-7) a straight line is as precise as the curve in float32.
_LOG_LINEAR_RANK = -15.0


class LogSimilarity(NamedTuple):
    """`log_similar` is log s and `log_dissimilar` log(1 - s), float32 tensors of one shape."""

    log_similar: tf.Tensor
    log_dissimilar: tf.Tensor


def logistic_transfer(rank, power, r0):
    """`s = 1 / (1 + (r / r0)^power)`: one half at rank r0, steeper with a larger power.

    Args:
        rank: `LogRank` of `(batch,)`.
        power: Above 0.
        r0: Rank of similarity 1/2, above 0; a tensor that broadcasts with `(batch,)`.

    Returns:
        `LogSimilarity` of `(batch,)`.
    """
    log_odds = power * (rank.log_rank - tf.math.log(r0))
    return LogSimilarity(-tf.math.softplus(log_odds), -tf.math.softplus(-log_odds))


def power_transfer(rank, power, r0):
    """`s = (1 - r)^power`. Arguments and result as in `logistic_transfer`; `r0` plays no part."""
    del r0
    log_similar = power * rank.log_complement
    return LogSimilarity(log_similar, _log_one_minus(log_similar, rank.log_rank, power))


def exponential_transfer(rank, power, r0):
    """`s = exp(-power * r)`. Arguments and result as in `logistic_transfer`; `r0` plays no part."""
    del r0
    log_similar = -power * tf.exp(rank.log_rank)
    return LogSimilarity(log_similar, _log_one_minus(log_similar, rank.log_rank, power))


def _log_one_minus(log_similar, log_rank, slope):
    """log(1 - s), where s is near 1 - slope * r for the smallest ranks."""
    is_linear = log_rank < _LOG_LINEAR_RANK
    dissimilar = -tf.math.expm1(tf.where(is_linear, -1.0, log_similar))
    return tf.where(is_linear, math.log(slope) + log_rank, tf.math.log(dissimilar))
