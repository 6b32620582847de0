"""Normalised approximated ranks, and nonlinear decreasing transfers from a rank to a similarity.

A rank is the share of the other images expected nearer to an anchor. It can be so close to 0 or 1
that float32 holds neither r nor 1 - r, while the loss needs the logarithm of both. Ranks and
similarities, both in (0, 1), are therefore logarithms from the start: neither underflows, so the
nearest negatives and the farthest positives keep their gradient.

Source: NRA loss (arXiv 1909.09427); ranks and transfers are reconstructions.
"""

import math
from typing import NamedTuple

import tensorflow as tf

# Distances that deviate by less from one another are rounding, not structure.
_LEAST_DEVIATION = 1e-4
# Added to distances before they are scaled: their rounding in float32, where embeddings are equal.
_LEAST_DISTANCE = 1e-3
# float32's `erfc` keeps its relative precision down to here; the series below it is as precise.
_ERFC_LIMIT = -10.0
_LOG_HALF = -math.log(2.0)
# Below this rank (3e-7) a straight line is as precise as the curve of a transfer in float32.
_LOG_LINEAR_RANK = -15.0
# Stands for log 0.
_EXCLUDED = -1e9


class LogRank(NamedTuple):
    """`log_rank` is log r and `log_complement` log(1 - r), float32 tensors of one shape."""

    log_rank: tf.Tensor
    log_complement: tf.Tensor


class LogSimilarity(NamedTuple):
    """`log_similar` is log s and `log_dissimilar` log(1 - s), float32 tensors of one shape."""

    log_similar: tf.Tensor
    log_dissimilar: tf.Tensor


def gaussian_ranks(distances, chosen, statistics="batch", statistics_gradient=True):
    """`r_ij = Phi((d_ij - mu) / sd)`: ranks as if the distances were normally distributed.

    Args:
        distances: `(batch, batch)`.
        chosen: `(..., batch, batch)`; row i is one-hot, 1 at the j of anchor i.
        statistics: `"batch"` takes the mean and deviation of all distances between two images,
            `"anchor"` those of the anchor's distances.
        statistics_gradient: Whether the mean and deviation pass back a gradient.

    Returns:
        `LogRank` of `(..., batch)`.
    """
    mean, deviation = _statistics(distances, None if statistics == "batch" else 1)
    if not statistics_gradient:
        mean, deviation = tf.stop_gradient(mean), tf.stop_gradient(deviation)
    z = (_at(distances, chosen) - mean) / deviation
    return LogRank(*tf.unstack(log_ndtr(tf.stack([z, -z]))))


def soft_ranks(distances, chosen, temperature=0.05, statistics_gradient=True):
    """`r_ij = mean over k != i, j of sigmoid((d_ij - d_ik) / temperature)`: smoothed counting.

    Two images have no others to count: their rank is 1/2.

    Args:
        distances, chosen: As in `gaussian_ranks`, like the result.
        temperature: Width of the step from nearer to farther, a distance above 0.
        statistics_gradient: Whether the distances d_ik of the others pass back a gradient.
    """
    to_others = distances if statistics_gradient else tf.stop_gradient(distances)
    steps = (_at(distances, chosen)[..., tf.newaxis] - to_others) / temperature
    is_counted = chosen + tf.eye(tf.shape(distances)[0]) == 0.0
    log_rank, log_complement = tf.unstack(_log_mean_sigmoid(tf.stack([steps, -steps]), is_counted))
    # The smaller of the two has all its digits, the larger is known from it.
    is_near = log_rank < log_complement
    near = LogRank(log_rank, _log_one_minus_exp(log_rank))
    far = LogRank(_log_one_minus_exp(log_complement), log_complement)
    return LogRank(*(tf.where(is_near, a, b) for a, b in zip(near, far, strict=True)))


def minmax_ranks(distances, chosen, statistics="batch", statistics_gradient=True):
    """`r_ij = (d_ij - min) / (max - min)`: the distance scaled by the smallest and the largest.

    The smallest is 0, an image's distance from itself. Distances are 0.001 larger on both sides,
    `(d + 0.001) / (max + 0.002)`, so that r lies inside (0, 1) and equal images have finite
    gradients; where all images are equal, all ranks are 1/2.

    Arguments and result as in `gaussian_ranks`; the statistics are the largest distance.

    Source: second-hand notes on the NRA loss, which say min-max.
    """
    farthest = tf.reduce_max(distances, axis=None if statistics == "batch" else 1)
    if not statistics_gradient:
        farthest = tf.stop_gradient(farthest)
    distance, log_range = _at(distances, chosen), tf.math.log(farthest + 2 * _LEAST_DISTANCE)
    return LogRank(
        tf.math.log(distance + _LEAST_DISTANCE) - log_range,
        tf.math.log(farthest - distance + _LEAST_DISTANCE) - log_range,
    )


def logistic_transfer(rank, power, r0):
    """`s = 1 / (1 + (r / r0)^power)`: one half at rank r0, steeper with a larger power.

    `LogRank` of `(..., batch)` to `LogSimilarity` of `(..., batch)`; `power` is above 0, `r0` the
    rank of similarity 1/2, above 0: a tensor that broadcasts with `(..., batch)`.
    """
    log_odds = power * (rank.log_rank - tf.math.log(r0))
    return LogSimilarity(-tf.math.softplus(log_odds), -tf.math.softplus(-log_odds))


def power_transfer(rank, power, r0):
    """`s = (1 - r)^power`. Arguments and result as in `logistic_transfer`; `r0` plays no part."""
    del r0
    log_similar = power * rank.log_complement
    return LogSimilarity(log_similar, _log_dissimilar(log_similar, rank.log_rank, power))


def exponential_transfer(rank, power, r0):
    """`s = exp(-power * r)`. Arguments and result as in `logistic_transfer`; `r0` plays no part."""
    del r0
    log_similar = -power * tf.exp(rank.log_rank)
    return LogSimilarity(log_similar, _log_dissimilar(log_similar, rank.log_rank, power))


@tf.custom_gradient
def log_ndtr(z):
    """log Phi(z), the logarithm of the standard normal distribution function, for any finite z."""
    is_upper, is_tail = z > 0, z < _ERFC_LIMIT
    lower_z = tf.where(is_upper, -z, z)
    share = 0.5 * tf.math.erfc(-tf.maximum(lower_z, _ERFC_LIMIT) / math.sqrt(2.0))
    body = tf.where(is_upper, tf.math.log1p(-share), tf.math.log(share))
    log_density = -0.5 * tf.square(z) - 0.5 * math.log(2.0 * math.pi)
    tail_z = tf.minimum(z, _ERFC_LIMIT)
    u = 1.0 / tf.square(tail_z)
    series = 1.0 + u * (-1.0 + u * (3.0 + u * (-15.0 + u * 105.0)))
    tail = log_density - tf.math.log(-tail_z) + tf.math.log(series)

    def gradient(upstream):
        # The density over Phi. In the tail, the difference of their logarithms has few digits.
        return upstream * tf.where(is_tail, -tail_z / series, tf.exp(log_density - body))

    return tf.where(is_tail, tail, body), gradient


def _at(distances, chosen):
    # A product is fewer operations than a gather and its gradient.
    return tf.reduce_sum(distances * chosen, axis=-1)


def _statistics(distances, axis):
    """Mean and standard deviation of the distances off the diagonal."""
    weights = 1.0 - tf.eye(tf.shape(distances)[0])
    count = tf.maximum(tf.reduce_sum(weights, axis=axis), 1.0)
    mean = tf.reduce_sum(weights * distances, axis=axis) / count
    centre = mean if axis is None else mean[:, tf.newaxis]
    variance = tf.reduce_sum(weights * tf.square(distances - centre), axis=axis) / count
    return mean, tf.sqrt(tf.maximum(variance, _LEAST_DEVIATION**2))


def _log_mean_sigmoid(x, is_counted):
    """Logarithm of the mean over the last axis of sigmoids that count; log(1/2) where none does."""
    count = tf.reduce_sum(tf.cast(is_counted, tf.float32), axis=-1)
    # Finite, so that the sum over none and its gradient are finite too.
    terms = tf.where(is_counted, tf.math.log_sigmoid(x), _EXCLUDED)
    log_mean = tf.reduce_logsumexp(terms, axis=-1) - tf.math.log(tf.maximum(count, 1.0))
    return tf.where(count > 0, log_mean, _LOG_HALF)


def _log_one_minus_exp(log_share):
    """log(1 - share) for shares up to 1/2; cuts larger ones, so that unused values are finite."""
    return tf.math.log1p(-tf.exp(tf.minimum(log_share, 0.9 * _LOG_HALF)))


def _log_dissimilar(log_similar, log_rank, slope):
    """log(1 - s), where s is near 1 - slope * r for the smallest ranks."""
    is_linear = log_rank < _LOG_LINEAR_RANK
    dissimilar = -tf.math.expm1(tf.where(is_linear, -1.0, log_similar))
    return tf.where(is_linear, math.log(slope) + log_rank, tf.math.log(dissimilar))
