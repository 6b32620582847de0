"""Triplet loss, with its triplets mined in the batch."""

import keras
import tensorflow as tf

from darac_tf.errors import check_choice
from darac_tf.losses.pairs import FAR, PairLoss, check_above_zero, masked_mean, pairwise_distances

MININGS = ("batch_hard", "semi_hard")


@keras.saving.register_keras_serializable(package="darac_tf")
class TripletLoss(PairLoss):
    """Mean of `max(0, margin + d(anchor, positive) - d(anchor, negative))` over mined triplets.

    d is the Euclidean distance of L2-normalised embeddings, or its square. `mining` is one of

    * `"batch_hard"` (Hermans et al., arXiv 1703.07737): each anchor with its farthest positive and
      its nearest negative. Mean over the anchors that have both.
    * `"semi_hard"` (FaceNet, arXiv 1503.03832): each anchor and positive with the nearest of the
      negatives that are farther than the positive; where there is none, with the farthest negative,
      as TensorFlow Addons had it. Mean over the (anchor, positive) pairs, both ways round, whose
      anchor has a negative. Needs memory of batch^3 numbers.

    Triplets that keep the margin count with 0. A batch without triplets gives 0.

    Args:
        mining: As above.
        margin: Above 0, as a distance of unit vectors, which is 2 at most, or 4 squared.
        squared: Whether d is squared, as in DIR (Gordo et al., arXiv 1610.07940), with a margin of
            0.1. The triplets stay the same.
    """

    def __init__(self, mining="batch_hard", margin=0.2, squared=False):
        check_choice("mining", mining, MININGS)
        check_above_zero("margin", margin)
        self.mining = mining
        self.margin = margin
        self.squared = squared

    def _of_pairs(self, embeddings, positives, negatives):
        distances = pairwise_distances(embeddings, self.squared)
        mine = _batch_hard if self.mining == "batch_hard" else _semi_hard
        positive, negative, is_triplet = mine(distances, positives, negatives)
        return masked_mean(tf.nn.relu(self.margin + positive - negative), is_triplet)


def _batch_hard(distances, positives, negatives):
    """Distances of positive and negative, and which of them are triplets, each `(batch,)`."""
    positive = tf.reduce_max(tf.where(positives, distances, -1.0), axis=1)
    negative = tf.reduce_min(tf.where(negatives, distances, FAR), axis=1)
    has_both = tf.reduce_any(positives, axis=1) & tf.reduce_any(negatives, axis=1)
    return positive, negative, has_both


def _semi_hard(distances, positives, negatives):
    """As `_batch_hard`, each `(batch, batch)`: anchors by positives."""
    to_negative = distances[:, tf.newaxis, :]
    is_farther = negatives[:, tf.newaxis, :] & (to_negative > distances[:, :, tf.newaxis])
    nearest = tf.reduce_min(tf.where(is_farther, to_negative, FAR), axis=2)
    farthest = tf.reduce_max(tf.where(negatives, distances, -1.0), axis=1, keepdims=True)
    negative = tf.where(tf.reduce_any(is_farther, axis=2), nearest, farthest)
    return distances, negative, positives & tf.reduce_any(negatives, axis=1, keepdims=True)
