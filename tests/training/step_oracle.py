"""What a training step should do: one tape over the whole batch, and the rest in NumPy."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER
from darac_tf.training.config import TrainConfig
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step

CLASSES, IMAGES, SIDE, STEPS = 4, 12, 16, 2


def write_network(path):
    """A network of stride 4 with a batch normalisation and biases that aren't 0."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((None, None, 3))
    options = {"padding": "same", "bias_initializer": "random_normal"}
    x = keras.layers.Conv2D(6, 4, strides=4, **options)(inputs)
    x = keras.layers.BatchNormalization(gamma_initializer="random_normal")(x)
    x = keras.layers.Conv2D(8, 3, activation="leaky_relu", **options)(x)
    keras.Model(inputs, x, name="tiny").save(path)
    return str(path)


def config_of(backbone, loss, optimizer, **changes):
    """Settings with all that a step may do: decay, two rates, clipping, an average."""
    settings = {
        "backbone": backbone,
        "pooling": "gem",
        "loss": loss,
        "optimizer": optimizer,
        "image_size": SIDE,
        "classes_per_batch": CLASSES,
        "images_per_class": IMAGES // CLASSES,
        "learning_rate": 1e-3,
        "head_learning_rate": 1e-2,
        "weight_decay": 10.0,
        "warmup_steps": 0,
        "steps": 5,
        "average_decay": 0.9,
    }
    return TrainConfig(**settings | changes)


def batches():
    """`(images, labels)` of each step."""
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), IMAGES // CLASSES)
    rng = np.random.default_rng(4)
    for _ in range(STEPS):
        yield rng.uniform(0, 255, (IMAGES, SIDE, SIDE, 3)).astype(np.float32), labels


class Sgd:
    """Nesterov's momentum of 0.9."""

    def __init__(self):
        self.velocity = 0.0

    def change(self, gradient, rate):
        self.velocity = 0.9 * self.velocity - rate * gradient
        return 0.9 * self.velocity - rate * gradient


class Adam:
    """As Keras writes it: epsilon stands beside the root of the uncorrected mean square."""

    def __init__(self):
        self.mean = self.square = self.steps = 0.0

    def change(self, gradient, rate):
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        rate *= np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        return -rate * self.mean / (np.sqrt(self.square) + 1e-7)


def rate_share(config, step):
    """Share of the peak of a learning rate."""
    if step < config.warmup_steps:
        return step / config.warmup_steps
    done = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return (1 + np.cos(np.pi * done)) / 2


def plain_run(config, clip_share=None):
    """`(clip_norm, losses, norms, weights, averages)`, the weights after all steps.

    Gradients are clipped to a share of the norm of the first one.
    """
    model = build_descriptor(config.backbone, pooling=config.pooling)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    loss = config.make_loss(CLASSES, model.output_shape[-1])
    variables = [*model.trainable_variables, *loss.trainable_variables]
    of_head = model.get_layer(POOLING_LAYER).trainable_variables + loss.trainable_variables
    heads = {id(variable) for variable in of_head}
    rules = [{"sgd": Sgd, "adamw": Adam}[config.optimizer]() for _ in variables]
    averages = [variable.numpy() for variable in model.trainable_variables]
    losses, norms, clip_norm = [], [], None
    for step, (images, labels) in enumerate(batches()):
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        gradients = [g.numpy() for g in tape.gradient(value, [v.value for v in variables])]
        losses.append(float(value))
        norms.append(np.sqrt(sum((gradient.astype(float) ** 2).sum() for gradient in gradients)))
        clip_norm = clip_norm or (clip_share and clip_share * norms[0])
        clip = min(1.0, clip_norm / norms[-1]) if clip_norm else 1.0
        share = rate_share(config, step)
        for variable, gradient, rule in zip(variables, gradients, rules, strict=True):
            is_head = id(variable) in heads
            rate = share * (config.head_learning_rate if is_head else config.learning_rate)
            decays = not is_head and len(variable.shape) > 1
            decay = config.weight_decay * rate if decays else 0.0
            old = variable.numpy().astype(float)
            variable.assign(old - decay * old + rule.change(clip * gradient.astype(float), rate))
        kept = min(config.average_decay, (2 + step) / (11 + step))
        pairs = zip(averages, model.trainable_variables, strict=True)
        averages = [kept * average + (1 - kept) * v.numpy() for average, v in pairs]
    return clip_norm, losses, norms, [variable.numpy() for variable in variables], averages


def run_steps(config, replicas):
    """The same by the training step."""
    state = build_state(config, CLASSES, replicas)
    step = make_train_step(state, config, replicas)
    losses, norms = [], []
    for images, labels in batches():
        shared = [_share(each, replicas) for each in (images, labels)]
        value, norm = step(*shared)
        losses.append(float(value))
        norms.append(float(norm))
    assert step.experimental_get_tracing_count() == (not tf.config.functions_run_eagerly())
    weights = [variable.numpy() for variable in state.optimizer.variables]
    return losses, norms, weights, [average.numpy() for average in state.average.averages]


def _share(values, replicas):
    """A batch cut into as many parts as there are replicas."""
    if replicas.count == 1:
        return tf.constant(values)
    parts = np.split(values, replicas.count)
    return replicas.strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


def check_step(config, replicas, clip_share=None):
    """Asserts that loss, norm, weights and averages are those of the plain loop."""
    clip_norm, *expected = plain_run(config, clip_share)
    found = run_steps(dataclasses.replace(config, clip_norm=clip_norm), replicas)
    for ours, plain in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5)
    for ours, plain in zip(found[2:], expected[2:], strict=True):
        for a, b in zip(ours, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
