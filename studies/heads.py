"""Trains many linear heads on stored vectors at once: one loss, several learning rates and seeds.

A step of one small head is nearly all overhead, so heads of all rates and seeds take it together:
their batches are one tensor, and the loss of each is one entry of `tf.vectorized_map`.
"""

import numpy as np
import tensorflow as tf

from darac_tf.layers import l2_normalize

# Adam's, as Keras has them.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


def train_heads(make, vectors, labels, batches, rates, dim, points, warmup=20, class_rate=10.0):
    """Trains `x -> W x` from `W = (I 0)`, the first `dim` of the vectors' directions, with Adam.

    The rate rises for `warmup` steps and then stays, so that one training is measured at several
    steps. Weights of the loss itself, such as class vectors, have `class_rate` times the rate.

    Args:
        make: Function of a seed to a loss of `darac_tf.losses`.
        vectors: float32 `(images, channels)`.
        labels: int `(images,)`, 0 to C - 1.
        batches: int `(seeds, steps, batch)`, images of each step.
        rates: `(rates,)` learning rates.
        dim: Of the result, `channels` at most.
        points: Rising numbers of steps, from 1 to `steps`.
        warmup: Steps.
        class_rate: Factor.

    Yields:
        For each of `points` the heads, float32 `(rates, seeds, channels, dim)`.
    """
    seeds, channels = len(batches), vectors.shape[1]
    first = np.broadcast_to(np.eye(channels, dim, dtype=np.float32), (seeds, channels, dim))
    loss, of_seeds = make(0), [make(seed).trainable_variables for seed in range(seeds)]
    own = [np.stack(weights) for weights in zip(*of_seeds, strict=True)]
    groups = [[_Adam(first, rate), *(_Adam(w, class_rate * rate) for w in own)] for rate in rates]
    vectors, labels = tf.constant(vectors), tf.constant(labels, tf.int64)

    def loss_of(parts):
        of_batch, embeddings, *weights = parts
        if weights:
            return loss.stateless_call(weights, [], of_batch, embeddings)[0]
        return loss(of_batch, embeddings)

    @tf.function
    def step(indices, rise):
        x = tf.tile(tf.gather(vectors, indices), [len(rates), 1, 1])
        of_batch = tf.tile(tf.gather(labels, indices), [len(rates), 1])
        with tf.GradientTape() as tape:
            heads, *weights = (tf.concat(same, 0) for same in zip(*_values(groups), strict=True))
            losses = tf.vectorized_map(loss_of, (of_batch, tf.matmul(x, heads), *weights))
            total = tf.reduce_sum(losses)
        variables = [adam.variable for group in groups for adam in group]
        gradients = iter(tape.gradient(total, variables))
        for group in groups:
            for adam in group:
                adam.apply(next(gradients), rise)
        return losses

    done = 0
    for point in points:
        for number in range(done, point):
            losses = step(
                tf.constant(batches[:, number]), tf.constant(min(1.0, (number + 1) / warmup))
            )
        if not np.isfinite(losses).all():
            raise ValueError(f"A loss is not finite. Received: {losses} at step {point}")
        done = point
        yield np.stack([group[0].variable.numpy() for group in groups])


def _values(groups):
    return [[tf.convert_to_tensor(adam.variable) for adam in group] for group in groups]


class _Adam:
    """A variable and its moments; one operation of TensorFlow updates all three."""

    def __init__(self, value, rate):
        self.variable = tf.Variable(value)
        self._moments = [tf.Variable(tf.zeros_like(value)) for _ in range(2)]
        self._powers = [tf.Variable(_BETA_1), tf.Variable(_BETA_2)]
        self._rate = rate

    def apply(self, gradient, rise):
        tf.raw_ops.ResourceApplyAdam(
            var=self.variable.handle,
            m=self._moments[0].handle,
            v=self._moments[1].handle,
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=rise * self._rate,
            beta1=_BETA_1,
            beta2=_BETA_2,
            epsilon=_EPSILON,
            grad=gradient,
        )
        for power, beta in zip(self._powers, (_BETA_1, _BETA_2), strict=True):
            power.assign(power * beta)


def apply_head(vectors, head):
    """Unit vectors `(images, dim)` of vectors `(images, channels)` and a head `(channels, dim)`."""
    return l2_normalize(tf.matmul(vectors, head)).numpy()
