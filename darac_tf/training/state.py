"""What a step changes and a checkpoint keeps: model, optimisers, and the average of the weights."""

import contextlib
from dataclasses import dataclass

import keras
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of
from darac_tf.processor import warn_of_software
from darac_tf.training.convolutions import speed_up_gradients
from darac_tf.training.precision import LossScale

OPTIMIZERS = {
    "adamw": lambda **settings: keras.optimizers.AdamW(**settings),
    "sgd": lambda **settings: keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings),
}


def warmup_cosine(peak, warmup_steps, steps):
    """Learning rate: linear from 0 to `peak`, then a half cosine down to 0 at `steps`."""
    if not warmup_steps or not steps:
        return keras.optimizers.schedules.CosineDecay(peak, max(steps, 1))
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup_steps, warmup_target=peak, warmup_steps=warmup_steps
    )


class GroupedOptimizer:
    """One optimiser for the backbone and one for the head, with a learning rate each.

    The head is the pooling, and the class weights of a loss that has some. 42 region weights near 1
    need far larger steps than pretrained filters. The head has no weight decay: DARAC is invariant
    to the scale of its weights, and GeM's exponent must not shrink. Neither have batch
    normalisation's and biases (all that is not a kernel).

    The model's trainable variables are taken now; the loss may have some of its own. `UserError` if
    nothing is trainable.
    """

    def __init__(self, config, model, loss=None):
        of_loss = [] if loss is None else loss.trainable_variables
        of_pooling = model.get_layer(POOLING_LAYER).trainable_variables
        head = {id(v) for v in [*of_pooling, *of_loss]}
        self.variables = [*model.trainable_variables, *of_loss]
        if not self.variables:
            raise UserError("nothing to train: the backbone and the pooling have no free weights")
        self._is_head = [id(variable) in head for variable in self.variables]
        self.backbone = self._build(config, config.learning_rate, False, config.weight_decay)
        self.head = self._build(config, config.head_learning_rate, True, 0.0)

    def _build(self, config, rate, is_head, weight_decay):
        variables = self._of_group(self.variables, is_head)
        schedule = warmup_cosine(rate, config.warmup_steps, config.steps)
        optimizer = OPTIMIZERS[config.optimizer](learning_rate=schedule, weight_decay=weight_decay)
        optimizer.exclude_from_weight_decay([v for v in variables if len(v.shape) < 2])
        optimizer.build(variables)
        return optimizer

    def _of_group(self, values, is_head):
        return [v for v, of_head in zip(values, self._is_head, strict=True) if of_head == is_head]

    def apply(self, gradients):
        """Applies gradients given in the order of `variables`."""
        for optimizer, is_head in ((self.backbone, False), (self.head, True)):
            if variables := self._of_group(self.variables, is_head):
                optimizer.apply(self._of_group(gradients, is_head), variables)


class WeightAverage(tf.Module):
    """`average = decay * average + (1 - decay) * weight` after every step.

    The decay of step t is at most `(1 + t) / (10 + t)`, so that the average of the Keras variables
    does not cling to the first weights.

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

    def restart(self):
        """Begins with the weights as they are, when they were set after this was made."""
        for average, variable in zip(self.averages, self._variables, strict=True):
            average.assign(variable)

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


@dataclass(frozen=True)
class TrainState:
    """The parts of a run that a step changes and a checkpoint keeps."""

    model: keras.Model  # The descriptor.
    loss: object  # Called as `loss(labels, embeddings)`; may have class weights.
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


def set_batch_norm(model, mode, momentum=None, is_shared=False):
    """Freezes or trains every batch normalisation of a model.

    Args:
        model: Keras model.
        mode: `"frozen"`: statistics, scale and shift stay as they are; `"train"`: statistics are
            those of the batch, and all is learned.
        momentum: For `"train"`: of the moving statistics; None leaves each layer's own. Networks
            trained for a few hundred steps want 0.9, where Keras' 0.99 would lag behind.
        is_shared: For `"train"`: whether statistics are those of all replicas' images.

    Raises:
        ValueError: If `mode` is another.
    """
    if mode not in ("frozen", "train"):
        raise ValueError(f"`mode` must be frozen or train. Received: mode={mode!r}")
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = mode == "train"
            if mode == "train":
                layer.synchronized = is_shared
                layer.momentum = layer.momentum if momentum is None else momentum


def freeze_until(model, name):
    """Freezes a backbone's layer of a name and those it depends on; `UserError` if it has none."""
    network, _ = backbone_of(model)
    layers = {layer.name: layer for layer in network.layers}
    if name not in layers:
        some = [each for each in layers if each.endswith(("out", "add"))] or list(layers)
        raise UserError(
            f"--freeze_until={name}: {network.name} has no such layer; it has {', '.join(some)}"
        )
    for layer in keras.Model(network.inputs, layers[name].output).layers:
        layer.trainable = False


def build_state(config, num_classes, replicas):
    """Builds the model, loss and optimiser of a `TrainConfig`, on the `Replicas` they live on.

    `num_classes` are those of the training set. `UserError` if the backbone, its weights or a layer
    can't be had, or nothing is trainable.
    """
    with replicas.strategy.scope():
        network = config.backbone, config.backbone_weights
        options = {"layer": config.layer} | config.pooling_options()
        model = build_descriptor(*network, config.pooling, **options)
        is_shared = replicas.count > 1
        set_batch_norm(model, config.batch_norm, config.batch_norm_momentum, is_shared)
        if config.freeze_until is not None:
            freeze_until(model, config.freeze_until)
        if not tf.config.list_logical_devices("GPU"):
            speed_up_gradients(model)
        loss = config.make_loss(num_classes, model.output_shape[-1])
        optimizer = GroupedOptimizer(config, model, loss)
        average = None
        if config.average_decay is not None:
            average = WeightAverage(model.trainable_variables, config.average_decay)
        warn_of_software(config.precision)
        scale = LossScale() if config.precision == "mixed_float16" else None
        return TrainState(model, loss, optimizer, average, scale)
