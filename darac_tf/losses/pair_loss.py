"""What losses on the pairs of a batch share: no weights, a config, means over part of a batch."""

import tensorflow as tf


class PairLoss:
    """Base of losses that need nothing but labels and embeddings.

    As `NRALoss`, none is a `keras.losses.Loss`, which would turn labels into float32 and merge
    classes above 2^24.
    """

    @property
    def trainable_variables(self):
        """Weights of the loss itself: none."""
        return []

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def masked_mean(values, mask):
    """Mean of `values` where the bool `mask` of the same shape holds, 0 where it never does."""
    total = tf.reduce_sum(tf.where(mask, values, 0.0))
    return total / tf.maximum(tf.reduce_sum(tf.cast(mask, tf.float32)), 1.0)


def check_above_zero(name, value):
    """Checks a constant of a loss.

    Raises:
        ValueError: If `value` is not a finite number above 0.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be above 0. Received: {name}={value}")
