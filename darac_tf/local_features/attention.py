"""Attention over the cells of feature maps, and pooling by it.

Noh, Araujo, Sim, Weyand and Han, Large-scale image retrieval with attentive deep local features,
ICCV 2017 (arXiv 1612.06321), section 4.2.
"""

import keras
import tensorflow as tf

from darac_tf.layers import l2_normalize


@keras.saving.register_keras_serializable(package="darac_tf")
class AttentionScores(keras.layers.Layer):
    """How much each cell tells: `softplus(W2 relu(W1 f + b1) + b2)`, of the map's f as they are.

    Feature maps `(batch, height, width, channels)` to float32 scores `(batch, height, width)`,
    which are never negative. Both products are convolutions of 1 x 1.

    Args:
        hidden_units: Filters of the first convolution.
        seed: Of the initial weights; None for Keras' own.

    Raises:
        ValueError: If `hidden_units` is below 1.

    Source: Noh et al., ICCV 2017, section 4.2.1.
    """

    def __init__(self, hidden_units=512, seed=None, **kwargs):
        super().__init__(**kwargs)
        if hidden_units < 1:
            raise ValueError(
                f"`hidden_units` must be at least 1. Received: hidden_units={hidden_units}"
            )
        self.hidden_units = hidden_units
        self.seed = seed

    def build(self, input_shape):
        shapes = ((input_shape[-1], self.hidden_units), (self.hidden_units, 1))
        for number, shape in enumerate(shapes, start=1):
            kernel = self.add_weight(
                name=f"kernel_{number}",
                shape=shape,
                initializer=keras.initializers.GlorotUniform(self.seed),
            )
            bias = self.add_weight(name=f"bias_{number}", shape=shape[1:], initializer="zeros")
            setattr(self, f"kernel_{number}", kernel)
            setattr(self, f"bias_{number}", bias)

    def call(self, inputs):
        hidden = tf.nn.relu(tf.matmul(inputs, self.kernel_1) + self.bias_1)
        scores = tf.matmul(hidden, self.kernel_2) + self.bias_2
        return tf.nn.softplus(tf.cast(scores[..., 0], tf.float32))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[:-1])

    def get_config(self):
        return super().get_config() | {"hidden_units": self.hidden_units, "seed": self.seed}


@keras.saving.register_keras_serializable(package="darac_tf")
class AttentionPooling(keras.layers.Layer):
    """`sum_i alpha_i f_i / ||f_i||` over the cells i, alpha their `AttentionScores`.

    Feature maps `(batch, height, width, channels)` to float32 `(batch, channels)`. A linear
    classifier on top of it is what teaches the attention.

    Args:
        hidden_units: See `AttentionScores`.
        seed: See `AttentionScores`.

    Raises:
        ValueError: If `hidden_units` is below 1.

    Source: Noh et al., ICCV 2017, section 4.2.1, with features of unit length.
    """

    def __init__(self, hidden_units=512, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.scores = AttentionScores(hidden_units, seed, name="attention", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.scores.build(input_shape)

    def call(self, inputs):
        return tf.einsum("bhw,bhwc->bc", self.scores(inputs), l2_normalize(inputs))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        own = {"hidden_units": self.scores.hidden_units, "seed": self.scores.seed}
        return super().get_config() | own
