"""Pooling of the whole feature map: SPoC (average), MAC (maximum), GeM (generalised mean).

None of them normalises its result; `models.build_descriptor` does.
"""

import keras
import tensorflow as tf


class _GlobalPooling(keras.layers.Layer):
    """`(batch, height, width, channels)` to `(batch, channels)`."""

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="darac_tf")
class SPoC(_GlobalPooling):
    """Global average: the mean over height and width, in float32.

    Source: Babenko, Lempitsky, "Aggregating deep convolutional features for image retrieval", 2015.
    """

    def call(self, inputs):
        # A sum of a thousand float16 cells can leave float16's range.
        return tf.reduce_mean(tf.cast(inputs, tf.float32), axis=[1, 2])


@keras.saving.register_keras_serializable(package="darac_tf")
class MAC(_GlobalPooling):
    """Global maximum over height and width.

    Source: Razavian et al., "Visual instance retrieval with deep convolutional networks", 2016.
    """

    def call(self, inputs):
        return tf.reduce_max(inputs, axis=[1, 2])


@keras.saving.register_keras_serializable(package="darac_tf")
class GeM(_GlobalPooling):
    """Generalised mean `(mean(max(x, epsilon)^p))^(1/p)` over height and width, in float32.

    Args:
        p: Initial exponent, above 0: 1 is the average, infinity the maximum. Learned by default.
        learn_p: Whether training changes `p`.
        epsilon: Floor of the activations, above 0, which keeps powers and their gradients finite.

    Source: Radenovic, Tolias, Chum, "Fine-tuning CNN image retrieval with no human annotation",
    2018.
    """

    def __init__(self, p=3.0, learn_p=True, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        if p <= 0 or epsilon <= 0:
            raise ValueError(
                f"`p` and `epsilon` must be positive. Received: p={p}, epsilon={epsilon}"
            )
        self.initial_p = p
        self.learn_p = learn_p
        self.epsilon = epsilon

    def build(self, input_shape):
        initial = keras.initializers.Constant(self.initial_p)
        self.p = self.add_weight(
            name="p", shape=(), initializer=initial, trainable=self.learn_p, autocast=False
        )

    def call(self, inputs):
        p = tf.convert_to_tensor(self.p)
        powers = tf.maximum(tf.cast(inputs, tf.float32), self.epsilon) ** p
        return tf.reduce_mean(powers, axis=[1, 2]) ** (1.0 / p)

    def get_config(self):
        own = {"p": self.initial_p, "learn_p": self.learn_p, "epsilon": self.epsilon}
        return super().get_config() | own
