"""Times a training step against the bare backbone's forward, backward and optimiser, in one run.

    python -m benchmarks.training_step --backbone=ResNet50V2 --image_size=128 --images=24

Both train the same weights at the same batch, with the same optimiser and the same faster gradients
of convolutions; the bare one's loss is the mean of its feature maps. Timings alternate, so that
what else the machine does falls on both. Prints a Markdown table of medians and their ratio.
"""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from darac_tf import cli
from darac_tf.losses import LOSSES
from darac_tf.models.descriptor import backbone_of
from darac_tf.training import TrainConfig
from darac_tf.training.precision import PRECISIONS, computing_in
from darac_tf.training.replicas import make_replicas
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_list("losses", ["nra"], f"Of {', '.join(LOSSES)}.")
flags.DEFINE_integer("image_size", 128, "Side of the images.", lower_bound=32)
flags.DEFINE_integer("images", 24, "Images in a batch, four of a class.", lower_bound=8)
flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "What the backbone computes in.")
flags.DEFINE_integer("repeats", 10, "Timings of each step.", lower_bound=1)


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


def make_steps(config, images, labels):
    """The bare step and the training step, as functions without arguments."""
    replicas = make_replicas()
    state = build_state(config, len(set(labels.numpy())), replicas)
    train = make_train_step(state, config, replicas)
    bare = bare_step(state.model, keras.optimizers.AdamW(1e-5), config.precision)
    return [lambda: float(bare(images)), lambda: float(train(images, labels)[0])]


def paired_seconds(calls, repeats):
    """Seconds `(calls, repeats)` of functions that take turns, after one call each not counted."""
    seconds = np.zeros((len(calls), repeats))
    for repeat in range(-1, repeats):
        for number, call in enumerate(calls):
            started = time.perf_counter()
            call()
            if repeat >= 0:
                seconds[number, repeat] = time.perf_counter() - started
    return seconds


def main():
    shape = FLAGS.images, FLAGS.image_size, FLAGS.image_size, 3
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, shape), tf.float32)
    labels = tf.constant(np.arange(FLAGS.images) // 4, tf.int32)
    print("| loss | bare backbone, s | training step, s | ratio |\n| --- | ---: | ---: | ---: |")
    for loss in FLAGS.losses:
        keras.utils.set_random_seed(0)
        config = TrainConfig(
            backbone=FLAGS.backbone,
            backbone_weights=FLAGS.backbone_weights,
            loss=loss,
            image_size=FLAGS.image_size,
            classes_per_batch=FLAGS.images // 4,
            precision=FLAGS.precision,
        )
        calls = make_steps(config, images, labels)
        seconds = paired_seconds(calls, FLAGS.repeats)
        ratio = statistics.median(seconds[1] / seconds[0])
        medians = " | ".join(f"{statistics.median(each):.3f}" for each in seconds)
        print(f"| {loss} | {medians} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
