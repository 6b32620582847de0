"""Layers in the form that TensorFlow's graph optimiser fuses with their neighbours.

Keras writes a batch normalisation as a product and a sum, and a residual sum as one that might
broadcast; neither is fused on CPUs. The same in one operation each is.
"""

import keras
import numpy as np
import tensorflow as tf


class FixedNorm(keras.layers.Layer):
    """A batch normalisation with fixed statistics, fused with a ReLU behind it.

    Args:
        epsilon: Added to the variance.
    """

    def __init__(self, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        # The operation takes float32 beside 16-bit maps, so no autocast.
        shape = {"shape": (input_shape[-1],), "trainable": False, "autocast": False}
        self.factor = self.add_weight(name="factor", initializer="ones", **shape)
        self.shift = self.add_weight(name="shift", initializer="zeros", **shape)
        self.mean = self.add_weight(name="mean", initializer="zeros", **shape)
        self.variance = self.add_weight(name="variance", initializer="ones", **shape)

    def call(self, inputs, mask=None):
        del mask
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.factor),
            offset=tf.convert_to_tensor(self.shift),
            mean=tf.convert_to_tensor(self.mean),
            variance=tf.convert_to_tensor(self.variance),
            epsilon=self.epsilon,
            is_training=False,
        )
        return normalized.y

    def compute_output_shape(self, input_shape):
        return input_shape

    @staticmethod
    def weights_of(norm):
        """The weights of this layer that do what a `BatchNormalization` does."""
        mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
        factor = np.asarray(norm.gamma) if norm.scale else np.ones_like(mean)
        shift = np.asarray(norm.beta) if norm.center else np.zeros_like(mean)
        return [factor, shift, mean, variance]


class Sum(keras.layers.Layer):
    """A sum of maps of one shape, fused with the convolution before it."""

    def call(self, inputs, mask=None):
        del mask
        return tf.add_n(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape[0]
