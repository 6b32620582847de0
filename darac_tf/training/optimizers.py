"""Optimisers, learning rates and weight decay."""

import keras

from darac_tf.errors import UserError
from darac_tf.models.descriptor import POOLING_LAYER

OPTIMIZERS = {
    "adamw": lambda **settings: keras.optimizers.AdamW(**settings),
    "sgd": lambda **settings: keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings),
}


def warmup_cosine(peak, warmup_steps, steps):
    """Learning rate: linear from 0 to `peak`, then a half cosine down to 0 at `steps`."""
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup_steps, warmup_target=peak, warmup_steps=warmup_steps
    )


class GroupedOptimizer:
    """One optimiser for the backbone and one for the head, with a learning rate each.

    The head is the pooling, and the class weights of a loss that has some. 42 region weights near 1
    need far larger steps than pretrained filters. The head has no weight decay: DARAC is invariant
    to the scale of its weights, and GeM's exponent must not shrink. Neither have batch
    normalisation's and biases (all that is not a kernel).

    Args:
        config: `TrainConfig`.
        model: The descriptor; its trainable variables are taken now.
        loss: The loss, for variables of its own; None for none.

    Raises:
        UserError: If nothing is trainable.
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
