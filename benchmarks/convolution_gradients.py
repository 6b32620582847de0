"""Times a training step's gradient with TensorFlow's convolutions and with ours, in one run.

    python -m benchmarks.convolution_gradients --backbone=ResNet50V2 --sizes=64,96,128

Prints a Markdown table: seconds an image of the gradient of all weights, with batch normalisation
trained, and the ratio. Medians of --repeats, the two in turns.
"""

import statistics
import time

import tensorflow as tf
from absl import flags

from darac_tf import cli
from darac_tf.losses import NRALoss
from darac_tf.models import build_descriptor
from darac_tf.training.convolutions import speed_up_gradients
from darac_tf.training.state import set_batch_norm

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", "none", "imagenet, none (as fast), or a file.")
flags.DEFINE_list("sizes", ["64", "96", "128"], "Sides of the images.")
flags.DEFINE_integer("batch", 24, "Images.", lower_bound=4)
flags.DEFINE_integer("repeats", 3, "Timings of each.", lower_bound=1)


def gradient_function(is_fast):
    """A compiled function of pixels to the gradient of the loss."""
    model = build_descriptor(FLAGS.backbone, FLAGS.backbone_weights, "darac")
    set_batch_norm(model, "train")
    if is_fast:
        speed_up_gradients(model)
    loss, weights = NRALoss(), [variable.value for variable in model.trainable_variables]
    labels = tf.range(FLAGS.batch) // 2

    @tf.function
    def gradient(pixels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(pixels, training=True))
        return tape.gradient(value, weights)

    return gradient


def main():
    functions = [gradient_function(is_fast) for is_fast in (False, True)]
    print(f"{FLAGS.backbone}, {FLAGS.batch} images")
    print("| size | TensorFlow's, s/image | ours, s/image | ratio |")
    print("| ---: " * 4 + "|")
    for size in map(int, FLAGS.sizes):
        pixels = tf.random.stateless_uniform([FLAGS.batch, size, size, 3], [1, 2], 0, 255)
        seconds = [[], []]
        for repeat in range(FLAGS.repeats + 1):
            for function, found in zip(functions, seconds, strict=True):
                started = time.perf_counter()
                function(pixels)
                if repeat:  # the first one is traced
                    found.append(time.perf_counter() - started)
        theirs, ours = (statistics.median(found) / FLAGS.batch for found in seconds)
        print(f"| {size} | {theirs:.4f} | {ours:.4f} | {theirs / ours:.2f} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
