"""A fully connected layer behind a pooling, as published descriptors have one."""

import keras
import tensorflow as tf

from darac_tf.layers.normalization import l2_normalize


@keras.saving.register_keras_serializable(package="darac_tf")
class Projected(keras.layers.Layer):
    """`(batch, height, width, channels)` to `(batch, dim)`, float32: `W pooling(x) + b`.

    It is not normalised; `models.build_descriptor` does that.

    Args:
        pooling: Layer of `(batch, height, width, channels)` to `(batch, channels)`.
        dim: Dimension of the result.
        normalize: Whether what was pooled is L2-normalised first.

    Raises:
        ValueError: If `dim` is below 1.

    Source: Radenovic, Tolias, Chum (PAMI 2018), whose whitening may be a layer of the network.
    """

    def __init__(self, pooling, dim, normalize=True, **kwargs):
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"`dim` must be at least 1. Received: dim={dim}")
        self.pooling = pooling
        self.dim = dim
        self.normalize = normalize

    def build(self, input_shape):
        if not self.pooling.built:
            self.pooling.build(input_shape)
        channels = self.pooling.compute_output_shape(input_shape)[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(channels, self.dim), initializer="glorot_uniform", autocast=False
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.dim,), initializer="zeros", autocast=False
        )

    def call(self, inputs):
        pooled = tf.cast(self.pooling(inputs), tf.float32)
        pooled = l2_normalize(pooled) if self.normalize else pooled
        return tf.matmul(pooled, self.kernel.value) + self.bias.value

    def set_projection(self, weight, bias):
        """Makes it `weight x + bias`, of `(dim, channels)` and `(dim,)`."""
        self.kernel.assign(weight.T)
        self.bias.assign(bias)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim)

    def get_config(self):
        pooling = keras.saving.serialize_keras_object(self.pooling)
        own = {"pooling": pooling, "dim": self.dim, "normalize": self.normalize}
        return super().get_config() | own

    @classmethod
    def from_config(cls, config):
        pooling = keras.saving.deserialize_keras_object(config["pooling"])
        return cls(**config | {"pooling": pooling})
