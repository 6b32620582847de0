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
    most 1. Needs memory of batch numbers for each pair of one class: batch^2 (K - 1).

    Args:
        temperature: Width of the steps, above 0, as a cosine.

    Source: Brown et al., Smooth-AP (arXiv 2007.12163).
    """

    def __init__(self, temperature=0.01):
        check_above_zero("temperature", temperature)
        self.temperature = temperature

    def _of_pairs(self, embeddings, positives, negatives):
        scaled = cosines(embeddings) / self.temperature
        pairs = tf.where(positives)
        queries = pairs[:, 0]
        of_pairs = tf.gather_nd(scaled, pairs)
        steps = tf.sigmoid(tf.gather(scaled, queries) - of_pairs[:, tf.newaxis])
        of_query = tf.sigmoid(tf.gather(tf.linalg.diag_part(scaled), queries) - of_pairs)
        # 1 + p + n: j's step against itself is 1/2.
        rank = 0.5 + tf.reduce_sum(steps, axis=1) - of_query
        before_negative = tf.where(tf.gather(negatives, queries), steps, 0.0)
        # 1 - precision, directly: near a precision of 1 it keeps its digits.
        losses = tf.reduce_sum(before_negative, axis=1) / rank
        of_queries = tf.math.unsorted_segment_mean(losses, queries, tf.shape(positives)[0])
        return masked_mean(of_queries, tf.reduce_any(positives, axis=1))
