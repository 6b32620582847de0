"""Contrastive loss on the pairs of a batch, or on the queries of tuples."""

import keras
import tensorflow as tf

from darac_tf.losses.pairs import PairLoss, check_above_zero, masked_mean, pairwise_distances


@keras.saving.register_keras_serializable(package="darac_tf")
class ContrastiveLoss(PairLoss):
    """`1/2 d^2` for a positive pair, `1/2 max(0, margin - d)^2` for a negative one.

    d is the Euclidean distance of L2-normalised embeddings.

    * Without `tuple_size`, the mean over all pairs of different images of the batch, positive and
      negative alike.
    * With it, a batch is a sequence of tuples of `tuple_size` rows: a query, its positive and its
      negatives, mined beforehand. The pairs of each query with the others of its tuple are summed,
      and the sums averaged over the tuples. The labels say which pairs are positive.

    A batch of one image gives 0. One that is not a number of whole tuples raises
    `tf.errors.InvalidArgumentError`.

    Args:
        margin: Above 0, as a distance of unit vectors, which is 2 at most.
        tuple_size: None, or rows of a tuple, at least 2.

    Source: Hadsell et al. 2006, in the form of GeM (Radenovic et al., arXiv 1711.02512), which
    trains on tuples.
    """

    def __init__(self, margin=0.7, tuple_size=None):
        check_above_zero("margin", margin)
        if tuple_size is not None and (tuple_size < 2 or int(tuple_size) != tuple_size):
            raise ValueError(
                "`tuple_size` must be a whole number of at least 2, or None. "
                f"Received: tuple_size={tuple_size}"
            )
        self.margin = margin
        self.tuple_size = tuple_size

    def _of_pairs(self, embeddings, positives, negatives):
        distances = pairwise_distances(embeddings)
        apart = tf.nn.relu(self.margin - distances)
        losses = 0.5 * tf.square(tf.where(positives, distances, apart))
        if self.tuple_size is None:
            return masked_mean(losses, positives | negatives)
        # Each query has one pair fewer than its tuple has rows.
        queries = _query_pairs(tf.shape(distances)[0], self.tuple_size)
        return masked_mean(losses, queries) * (self.tuple_size - 1)


def _query_pairs(batch_size, tuple_size):
    """bool `(batch, batch)`: rows of queries, columns of the others of their tuples."""
    tf.debugging.assert_equal(
        batch_size % tuple_size, 0, f"the batch must consist of whole tuples of {tuple_size}"
    )
    row = tf.range(batch_size)
    is_query = row % tuple_size == 0
    same_tuple = row[:, tf.newaxis] // tuple_size == row[tf.newaxis, :] // tuple_size
    return is_query[:, tf.newaxis] & ~is_query[tf.newaxis, :] & same_tuple
