"""A training step and its backbone's alone, as functions to be timed."""

import keras
import tensorflow as tf

from darac_tf.models.descriptor import backbone_of
from darac_tf.training.precision import computing_in
from darac_tf.training.replicas import make_replicas
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step


def make_state(config, labels):
    """`(TrainState, Replicas)` of a run with these settings, with the same weights every time."""
    keras.utils.set_random_seed(0)
    replicas = make_replicas()
    return build_state(config, len(set(labels.tolist())), replicas), replicas


def bare_call(model, config, images):
    """Forward, backward and optimiser of a descriptor's backbone, as a function without arguments.

    The loss is the mean of the feature maps.
    """
    images = tf.constant(images)
    step = bare_step(model, keras.optimizers.AdamW(1e-5), config.precision)
    return lambda: float(step(images))


def train_call(state, config, replicas, images, labels):
    """The training step, as a function without arguments."""
    images, labels = tf.constant(images), tf.constant(labels)
    step = make_train_step(state, config, replicas)
    return lambda: float(step(images, labels)[0])


def bare_step(model, optimizer, precision):
    """Forward, backward and optimiser of a descriptor's backbone alone."""
    network, preprocessing = backbone_of(model)
    variables = network.trainable_variables

    @tf.function
    def step(images):
        with tf.GradientTape() as tape, computing_in(network, precision):
            value = tf.reduce_mean(
                tf.cast(network(preprocessing(images), training=True), "float32")
            )
        gradients = tape.gradient(value, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return value

    optimizer.build(variables)
    return step
