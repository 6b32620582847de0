"""The task of training: steps on one batch, and who does it in TensorFlow."""

import numpy as np

from benchmarks.peers.contest import Task, taking_part
from benchmarks.random_batch import random_batch
from benchmarks.step_calls import bare_call, make_state, train_call
from darac_tf.training import TrainConfig

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
    found["torchvision ResNet50 + GeM, triplet"] = (
        "benchmarks.peers.torchvision_training:TorchvisionStep",
        batch,
    )
    yield Task(
        f"training: {count} at {side} px, s/step",
        taking_part(found, wanted),
    )


class Step:
    """The training step with DARAC pooling, a frozen batch normalisation and AdamW."""

    def __init__(self, backbone, weights, count, side, loss="nra"):
        config = TrainConfig(
            backbone=backbone,
            backbone_weights=weights,
            loss=loss,
            image_size=side,
            classes_per_batch=count // 4,
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
