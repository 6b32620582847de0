"""What every loss on pairs starts from: the distances in a batch, and which pairs are positive."""

import tensorflow as tf

from darac_tf.layers import l2_normalize

# Squared distances below this count as zero: far below float32's rounding of unit vectors.
_TINY_SQUARED_DISTANCE = 1e-24


def pairwise_distances(embeddings):
    """Euclidean distances between all L2-normalised embeddings of a batch.

    Equal embeddings have a distance of zero and pass back a gradient of zero, where the square root
    alone would pass back infinity.

    Args:
        embeddings: `(batch, dim)`, any float dtype and any length; normalised here.

    Returns:
        float32 `(batch, batch)`, 0 to 2.
    """
    unit = l2_normalize(embeddings)
    # Distances do not depend on the origin, but their rounding does: the squares of vectors that
    # lie close together cancel less around their own mean.
    centred = unit - tf.stop_gradient(tf.reduce_mean(unit, axis=0, keepdims=True))
    products = tf.matmul(centred, centred, transpose_b=True)
    squares = tf.linalg.diag_part(products)
    squared = squares[:, tf.newaxis] + squares[tf.newaxis, :] - 2 * products
    is_zero = squared < _TINY_SQUARED_DISTANCE
    return tf.where(is_zero, 0.0, tf.sqrt(tf.where(is_zero, 1.0, squared)))


def pair_masks(labels):
    """Which pairs of a batch show the same class, and which show different ones.

    Args:
        labels: Integer classes, `(batch,)` or `(batch, 1)`.

    Returns:
        Two bool masks `(batch, batch)`: positive pairs, without each image's pair with itself, and
        negative pairs.
    """
    labels = tf.reshape(labels, [-1])
    same = labels[:, tf.newaxis] == labels[tf.newaxis, :]
    return same & ~tf.eye(tf.shape(labels)[0], dtype=tf.bool), ~same
