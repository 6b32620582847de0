"""What a run changes as it goes: the model, and all that is kept beside it."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from darac_tf.models import build_descriptor
from darac_tf.training.averaging import WeightAverage
from darac_tf.training.convolutions import speed_up_gradients
from darac_tf.training.freezing import freeze_until, set_batch_norm
from darac_tf.training.optimizers import GroupedOptimizer
from darac_tf.training.precision import LossScale


@dataclass(frozen=True)
class TrainState:
    """The parts of a run that a step changes and a checkpoint keeps.

    Attributes:
        model: The descriptor.
        loss: Called as `loss(labels, embeddings)`; may have class weights.
        optimizer: `GroupedOptimizer`.
        average: `WeightAverage`, or None.
        loss_scale: `LossScale`, or None.
    """

    model: keras.Model
    loss: object
    optimizer: GroupedOptimizer
    average: WeightAverage | None = None
    loss_scale: LossScale | None = None

    def update(self, gradients):
        """Applies gradients, in the order of `optimizer.variables`; in a replica."""
        self.optimizer.apply(gradients)
        if self.average is not None:
            self.average.update()

    def trackables(self):
        """Dictionary of name to what a checkpoint keeps."""
        kept = {
            "model": self.model,
            "backbone_optimizer": self.optimizer.backbone,
            "head_optimizer": self.optimizer.head,
            "loss": self.loss if self.loss.trainable_variables else None,
            "average": self.average,
            "loss_scale": self.loss_scale,
        }
        return {name: part for name, part in kept.items() if part is not None}


def build_state(config, num_classes, replicas):
    """Builds a run's model, loss and optimiser as its settings say.

    Args:
        config: `TrainConfig`.
        num_classes: Classes of the training set.
        replicas: `Replicas` they live on.

    Raises:
        UserError: If the backbone, its weights or a layer can't be had, or nothing is trainable.
    """
    with replicas.strategy.scope():
        model = build_descriptor(
            config.backbone,
            config.backbone_weights,
            config.pooling,
            layer=config.layer,
            **config.pooling_options(),
        )
        is_shared = replicas.count > 1
        set_batch_norm(model, config.batch_norm, config.batch_norm_momentum, is_shared)
        if config.freeze_until is not None:
            freeze_until(model, config.freeze_until)
        if not tf.config.list_logical_devices("GPU"):
            speed_up_gradients(model)
        loss = config.make_loss(num_classes, model.output_shape[-1])
        optimizer = GroupedOptimizer(config, model, loss)
        average = scale = None
        if config.average_decay is not None:
            average = WeightAverage(model.trainable_variables, config.average_decay)
        if config.precision == "mixed_float16":
            scale = LossScale()
        return TrainState(model, loss, optimizer, average, scale)
