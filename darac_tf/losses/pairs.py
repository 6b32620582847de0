"""What losses on the pairs of a batch share: distances, cosines, masks, means, and no weights."""

import inspect

import tensorflow as tf

from darac_tf.layers import l2_normalize

# Squares below this count as zero: far below float32's rounding of unit vectors.
_TINY_SQUARE = 1e-24
# Beyond any distance of unit vectors, squared too.
FAR = 5.0


class PairLoss:
    """Base of losses that need nothing but labels and embeddings.

    Subclasses keep each argument of their constructor in an attribute of the same name, and have
    `_of_pairs(embeddings, positives, negatives)`, the loss by the `pair_masks` of the labels.

    None is a `keras.losses.Loss`, which turns labels into float32 and merges classes above 2^24;
    `Model.compile` takes them all the same.
    """

    def __call__(self, labels, embeddings):
        """The loss of one batch: float32 scalar, at least 0.

        Of integer classes, `(batch,)` or `(batch, 1)`, and embeddings `(batch, dim)`, any float
        dtype and any length; normalised here.
        """
        return self._of_pairs(embeddings, *pair_masks(labels))

    @property
    def trainable_variables(self):
        """Weights of the loss itself: none."""
        return []

    def get_config(self):
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def pairwise_distances(embeddings, squared=False):
    """Euclidean distances between all embeddings of a batch: float32 `(batch, batch)`, 0 to 2.

    Embeddings are `(batch, dim)`, any float dtype and any length; L2-normalised here. `squared`
    leaves out the root: 0 to 4. Equal embeddings have a distance of zero and pass back a gradient
    of zero, where the square root alone would pass back infinity.
    """
    unit = l2_normalize(embeddings)
    # Distances do not depend on the origin, but their rounding does: the squares of vectors that
    # lie close together cancel less around their own mean.
    centred = unit - tf.stop_gradient(tf.reduce_mean(unit, axis=0, keepdims=True))
    products = tf.matmul(centred, centred, transpose_b=True)
    squares = tf.linalg.diag_part(products)
    distances = squares[:, tf.newaxis] + squares[tf.newaxis, :] - 2 * products
    return tf.nn.relu(distances) if squared else square_root(distances)


def square_root(squares):
    """The root of squares, 0 below rounding; its gradient there is zero instead of infinite."""
    is_zero = squares < _TINY_SQUARE
    return tf.where(is_zero, 0.0, tf.sqrt(tf.where(is_zero, 1.0, squares)))


def cosines(embeddings):
    """Cosines between all embeddings of a batch `(batch, dim)`: float32 `(batch, batch)`."""
    unit = l2_normalize(embeddings)
    return tf.matmul(unit, unit, transpose_b=True)


def pair_masks(labels):
    """Which pairs of a batch show the same class, and which different ones: bool `(batch, batch)`.

    The first has no image's pair with itself. Labels are integers, `(batch,)` or `(batch, 1)`.
    """
    labels = tf.reshape(labels, [-1])
    same = labels[:, tf.newaxis] == labels[tf.newaxis, :]
    return same & ~tf.eye(tf.shape(labels)[0], dtype=tf.bool), ~same


def masked_mean(values, mask):
    """Mean of `values` where the bool `mask` of the same shape holds, 0 where it never does."""
    total = tf.reduce_sum(tf.where(mask, values, 0.0))
    return total / tf.maximum(tf.reduce_sum(tf.cast(mask, tf.float32)), 1.0)


def check_above_zero(name, value):
    """Raises ValueError if a constant of a loss is not a finite number above 0."""
    if not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be above 0. Received: {name}={value}")
