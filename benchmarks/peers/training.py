"""The task of training: steps on one batch, and who does it in TensorFlow."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measuring import random_batch
from benchmarks.peers.contest import Task, taking_part
from benchmarks.peers.peak import multiply_adds_of
from darac_tf.models.descriptor import backbone_of
from darac_tf.training.config import TrainConfig
from darac_tf.training.precision import computing_in
from darac_tf.training.replicas import make_replicas
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step

_LOSSES = ("nra", "triplet")


def training_tasks(network, count, side, wanted):
    """The task.

    Args:
        network: Dictionary of `backbone` and `weights`.
        count: Images of a batch, four of a class.
        side: Their height and width.
        wanted: Function of a contestant's name to whether it takes part; the base always does.

    Yields:
        `Task`.
    """
    batch = {"count": count, "side": side}
    ours = network | batch
    found = {"bare backbone, TensorFlow": ("benchmarks.peers.training:BareStep", ours)}
    for loss in _LOSSES:
        found[f"darac_tf, {loss}"] = ("benchmarks.peers.training:Step", ours | {"loss": loss})
    narrow = ours | {"precision": "mixed_bfloat16"}
    found["darac_tf in bfloat16, nra"] = ("benchmarks.peers.training:Step", narrow)
    found["torchvision ResNet50 + GeM, triplet"] = (
        "benchmarks.peers.torchvision_training:TorchvisionStep",
        batch,
    )
    yield Task(
        f"training: {count} at {side} px, s/step",
        taking_part(found, wanted),
        # Forward, and the gradients of maps and of weights.
        work=3 * count * multiply_adds_of(network["backbone"], [(side, side)]),
    )


class Step:
    """The training step with DARAC pooling, a frozen batch normalisation and AdamW."""

    def __init__(self, backbone, weights, count, side, loss="nra", precision="float32"):
        config = TrainConfig(
            pooling_steps=0,
            backbone=backbone,
            backbone_weights=weights,
            loss=loss,
            image_size=side,
            classes_per_batch=count // 4,
            precision=precision,
        )
        images, labels = random_batch(count, side)
        state, replicas = make_state(config, labels)
        self._call = self._make_call(state, config, replicas, images, labels)

    def _make_call(self, state, config, replicas, images, labels):
        return train_call(state, config, replicas, images, labels)

    def run(self):
        if not np.isfinite(self._call()):
            raise FloatingPointError("the loss is not finite")


class BareStep(Step):
    """Forward, backward and AdamW of the same backbone; its loss is the mean of its maps."""

    def _make_call(self, state, config, replicas, images, labels):
        return bare_call(state.model, config, images)


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
