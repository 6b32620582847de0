"""Mixed precision: the network computes in 16 bits, all else in float32.

Weights, their updates, pooling, normalisation and loss stay in float32. The precision belongs to
the training step: the model itself is float32, and so it is validated and saved.
"""

import contextlib

import keras
import tensorflow as tf

from darac_tf.engines.inference_copy import DEPTHWISE

_FIRST_SCALE = 2.0**15
_STEPS_TO_DOUBLE = 2000


@contextlib.contextmanager
def computing_in(network, precision):
    """Within it, a Keras model is traced in a precision of `choices.TRAINING_PRECISIONS`.

    On CPUs its depthwise convolutions stay in float32: their gradient in bfloat16 takes oneDNN more
    than four times as long.
    """
    if precision == "float32":
        yield
        return
    exact = () if tf.config.list_logical_devices("GPU") else DEPTHWISE
    everything = network._flatten_layers(include_self=True)
    layers = [layer for layer in everything if not isinstance(layer, exact)]
    policies = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = keras.DTypePolicy(precision)
    try:
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


class LossScale(tf.Module):
    """Keeps small float16 gradients above zero: they are computed at a multiple.

    The scale halves where a gradient is not finite, and that step's update is left out. After 2000
    steps without one it doubles.

    Source: Micikevicius et al., "Mixed precision training" (arXiv 1710.03740), section 3.2.
    """

    def __init__(self):
        super().__init__()
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.scale = tf.Variable(_FIRST_SCALE, trainable=False, aggregation=first)
        self.good_steps = tf.Variable(0, trainable=False, aggregation=first)

    def update(self, is_finite):
        """Takes in whether a step's gradient was finite (scalar bool); part of the graph."""
        grown = self.good_steps + 1
        doubles = tf.logical_and(is_finite, grown >= _STEPS_TO_DOUBLE)
        factor = tf.where(is_finite, tf.where(doubles, 2.0, 1.0), 0.5)
        resets = tf.logical_or(doubles, tf.logical_not(is_finite))
        self.scale.assign(self.scale * factor)
        self.good_steps.assign(tf.where(resets, 0, grown))
