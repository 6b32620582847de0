"""Smooth-AP: average precision with its ranks made smooth."""

import keras
import tensorflow as tf

from darac_tf.losses.pairs import PairLoss, check_above_zero, cosines, masked_mean


@keras.saving.register_keras_serializable(package="darac_tf")
class SmoothAPLoss(PairLoss):
    """`1 - mean smooth AP`, each image of the batch a query against all others.

    A positive j of query i has precision `(1 + p) / (1 + p + n)`, where p and n sum
    `sigmoid((S_ik - S_ij) / temperature)` over the other positives and over the negatives k: the
    numbers ranked before j, with smooth steps. AP is the mean over the positives, the loss is over
    the queries that have one. S is the cosine. The query itself is in no rank.

    A query without negatives has an AP of 1, a batch without positives gives 0; the loss is at
    most 1. Needs memory of batch^3 numbers.

    Args:
        temperature: Width of the steps, above 0, as a cosine.

    Source: Brown et al., Smooth-AP (arXiv 2007.12163).
    """

    def __init__(self, temperature=0.01):
        check_above_zero("temperature", temperature)
        self.temperature = temperature

    def _of_pairs(self, embeddings, positives, negatives):
        similarities = cosines(embeddings)
        leads = similarities[:, tf.newaxis, :] - similarities[:, :, tf.newaxis]
        steps = tf.sigmoid(leads / self.temperature)
        # j's step against itself is 1/2.
        before_positive = _sum_over(steps, positives) - 0.5
        before_negative = _sum_over(steps, negatives)
        # 1 - precision, directly: near a precision of 1 it keeps its digits.
        losses = before_negative / (1.0 + before_positive + before_negative)
        of_query = tf.reduce_sum(tf.where(positives, losses, 0.0), axis=1)
        count = tf.reduce_sum(tf.cast(positives, tf.float32), axis=1)
        return masked_mean(of_query / tf.maximum(count, 1.0), count > 0)


def _sum_over(steps, mask):
    """Sums `(query, j, k)` over the k of each query's mask `(query, k)`."""
    return tf.reduce_sum(tf.where(mask[:, tf.newaxis, :], steps, 0.0), axis=2)
