"""The one L2 normalisation of the project."""

import keras
import tensorflow as tf

# Squared norms below this count as zero: float32 keeps full precision far above it.
_TINY_SQUARED_NORM = 1e-24


def l2_normalize(x, axis=-1):
    """Scales vectors to unit Euclidean length, in float32 whatever the input's dtype.

    `y = x / ||x||`; a zero vector stays zero and passes back a zero gradient, where the usual
    `x / max(||x||, eps)` would pass back a gradient multiplied by `1 / eps`.

    Args:
        x: Tensor of any shape and float dtype.
        axis: Axis (or axes) that hold one vector.

    Returns:
        float32 tensor of the shape of `x`.
    """
    x = tf.cast(x, tf.float32)
    squared_norm = tf.reduce_sum(tf.square(x), axis=axis, keepdims=True)
    is_zero = squared_norm < _TINY_SQUARED_NORM
    inverse_norm = tf.math.rsqrt(tf.where(is_zero, 1.0, squared_norm))
    return x * tf.where(is_zero, 0.0, inverse_norm)


@keras.saving.register_keras_serializable(package="darac_tf")
class L2Normalization(keras.layers.Layer):
    """`l2_normalize` over the last axis, as a layer: any shape in, float32 out."""

    def call(self, inputs):
        return l2_normalize(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape
