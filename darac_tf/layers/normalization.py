"""What is done to vectors: the one L2 normalisation of the project, and PCA whitening."""

import keras
import tensorflow as tf

# Squared norms below this count as zero: float32 keeps full precision far above it.
_TINY_SQUARED_NORM = 1e-24


def l2_normalize(x, axis=-1):
    """Scales vectors to unit Euclidean length: any shape and float dtype to float32 of that shape.

    `y = x / ||x||` along the axis (or axes) that hold one vector; a zero vector stays zero and
    passes back a zero gradient, where the usual `x / max(||x||, eps)` would pass back a gradient
    multiplied by `1 / eps`.
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


@keras.saving.register_keras_serializable(package="darac_tf")
class PCAWhitening(keras.layers.Layer):
    """`y = L2(P (x - mean))`, in float32: `(batch, channels)` to unit vectors `(batch, units)`.

    The mean and P are not trained: `whitening` fits them, `from_arrays` puts them in,
    and they travel in `.keras` files and SavedModels. Before that, P keeps the first `units`
    channels and the mean is zero.

    Args:
        units: Dimension of the result, at most the number of channels.

    Raises:
        ValueError: If `units` is below 1 or above the number of channels.

    Source: Jegou, Chum, "Negative evidences and co-occurrences in image retrieval", 2012; DARAC
    (arXiv 1909.09420).
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: units={units}")
        self.units = units

    def build(self, input_shape):
        channels = input_shape[-1]
        if self.units > channels:
            raise ValueError(
                f"`units` must be at most the {channels} channels of the descriptors. "
                f"Received: units={self.units}"
            )
        fixed = {"trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", shape=(channels,), initializer="zeros", **fixed)
        self.projection = self.add_weight(
            name="projection", shape=(self.units, channels), initializer="identity", **fixed
        )

    @classmethod
    def from_arrays(cls, mean, projection, **kwargs):
        """A built layer from `mean` `(channels,)` and `projection` `(units, channels)`."""
        units, channels = projection.shape
        layer = cls(units, **kwargs)
        layer.build((None, channels))
        layer.set_weights([mean, projection])
        return layer

    def call(self, inputs):
        centred = tf.cast(inputs, tf.float32) - tf.convert_to_tensor(self.mean)
        return l2_normalize(tf.matmul(centred, self.projection, transpose_b=True))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units}
