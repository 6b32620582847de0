"""Exponential moving average of the weights, which validates and is saved in their place."""

import contextlib

import tensorflow as tf


class WeightAverage(tf.Module):
    """`average = decay * average + (1 - decay) * weight` after every step.

    The decay of step t is at most `(1 + t) / (10 + t)`, so that the average does not cling to the
    first weights.

    Args:
        variables: Keras variables.
        decay: In (0, 1).

    Source: Polyak, Juditsky 1992; the early decay is that of TensorFlow's
    `ExponentialMovingAverage`.
    """

    def __init__(self, variables, decay):
        super().__init__()
        self._variables = [variable.value for variable in variables]
        self._decay = decay
        # All replicas compute the same average.
        first = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.averages = [tf.Variable(value, **first) for value in self._variables]
        self.steps = tf.Variable(0, dtype=tf.int64, **first)

    def update(self):
        """Takes in the weights after a step; part of its graph, in a replica."""
        steps = tf.cast(self.steps.assign_add(1), tf.float32)
        decay = tf.minimum(self._decay, (1.0 + steps) / (10.0 + steps))
        for average, variable in zip(self.averages, self._variables, strict=True):
            average.assign_sub((1.0 - decay) * (average - variable))

    @contextlib.contextmanager
    def in_place(self):
        """Within it, the weights are the averages."""
        kept = [tf.identity(variable) for variable in self._variables]
        for variable, average in zip(self._variables, self.averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self._variables, kept, strict=True):
                variable.assign(value)
