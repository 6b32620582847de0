"""Between feature maps and the tokens of a vision transformer, at any size of image."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="darac_tf")
class PatchTokens(keras.layers.Layer):
    """Embedded patches `(batch, rows, columns, channels)` to tokens, each with its position.

    Positions are embedded for one grid; those of another are interpolated between them, by the
    cubic convolution of Keys. At the grid itself they are what they are.

    Args:
        grid: Rows and columns that positions are embedded for.
        leading: How many tokens stand before those of patches, of a class and registers.
        antialias: Whether positions of a smaller grid are averages over the larger one.

    Returns:
        `(batch, leading + rows * columns, channels)`.

    Source: Dosovitskiy et al., "An image is worth 16x16 words" (arXiv 2010.11929), section 3.2;
    cubic: Oquab et al., "DINOv2" (arXiv 2304.07193).
    """

    def __init__(self, grid, leading=1, antialias=False, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.leading, self.antialias = tuple(grid), leading, antialias

    def build(self, input_shape):
        channels = input_shape[-1]
        self.positions = self.add_weight(shape=(*self.grid, channels), name="positions")
        if self.leading:
            self.first = self.add_weight(shape=(self.leading, channels), name="first")

    def call(self, patches):
        batch, rows, columns, channels = tf.unstack(tf.shape(patches))
        positions = tf.convert_to_tensor(self.positions)
        of_rows, of_columns = (
            tf.cast(interpolation_matrix(length, own, self.antialias), positions.dtype)
            for length, own in zip((rows, columns), self.grid, strict=True)
        )
        positions = tf.tensordot(of_rows, positions, 1)  # (rows, own columns, channels)
        positions = tf.tensordot(of_columns, positions, [[1], [1]])  # (columns, rows, channels)
        tokens = patches + tf.transpose(positions, [1, 0, 2])
        tokens = tf.reshape(tokens, [batch, rows * columns, channels])
        if not self.leading:
            return tokens
        first = tf.convert_to_tensor(self.first)[tf.newaxis]
        return tf.concat([tf.tile(first, [batch, 1, 1]), tokens], axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], None, input_shape[-1])

    def get_config(self):
        own = {"grid": self.grid, "leading": self.leading, "antialias": self.antialias}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="darac_tf")
class TokenMap(keras.layers.Layer):
    """Tokens of patches as a feature map: `[tokens, patches]` to what has the patches' shape.

    Tokens are `(batch, leading + rows * columns, channels)`, of which the `leading` ones are left
    out, and patches `(batch, rows, columns, channels)`.
    """

    def __init__(self, leading=1, **kwargs):
        super().__init__(**kwargs)
        self.leading = leading

    def call(self, inputs):
        tokens, patches = inputs
        return tf.reshape(tokens[:, self.leading :], tf.shape(patches))

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return super().get_config() | {"leading": self.leading}


def interpolation_matrix(length, own, antialias=False):
    """float32 `(length, own)`: values at `length` places, evenly over those at `own` places.

    By cubic convolution (Keys 1981, a = -1/2), whose weights add up to 1 at the ends too. `length`
    is an integer tensor, `own` an integer.
    """
    step = tf.cast(own, tf.float32) / tf.cast(length, tf.float32)
    centers = (tf.range(tf.cast(length, tf.float32)) + 0.5) * step - 0.5
    reach = tf.maximum(step, 1.0) if antialias else 1.0
    x = tf.abs(centers[:, tf.newaxis] - tf.range(own, dtype=tf.float32)) / reach
    near, far = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    weights = tf.where(x < 1.0, near, tf.where(x < 2.0, far, tf.zeros_like(x)))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
