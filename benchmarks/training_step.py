"""Times a training step against the bare backbone's forward, backward and optimiser, in one run.

    python -m benchmarks.training_step --backbone=ResNet50V2 --image_size=128 --images=24

Both train the same weights at the same batch, with the same optimiser and the same faster gradients
of convolutions; the bare one's loss is the mean of its feature maps. Timings alternate, so that
what else the machine does falls on both. Prints a Markdown table of medians and their ratio.
"""

import statistics
import time

import numpy as np
from absl import flags

from benchmarks.measuring import random_batch
from benchmarks.peers.training import bare_call, make_state, train_call
from darac_tf import cli
from darac_tf.choices import TRAINING_PRECISIONS
from darac_tf.losses import LOSSES
from darac_tf.training.config import TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_list("losses", ["nra"], f"Of {', '.join(LOSSES)}.")
flags.DEFINE_integer("image_size", 128, "Side of the images.", lower_bound=32)
flags.DEFINE_integer("images", 24, "Images in a batch, four of a class.", lower_bound=8)
flags.DEFINE_enum("precision", "float32", TRAINING_PRECISIONS, "What the backbone computes in.")
flags.DEFINE_integer("repeats", 10, "Timings of each step.", lower_bound=1)


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
    images, labels = random_batch(FLAGS.images, FLAGS.image_size)
    print("| loss | bare backbone, s | training step, s | ratio |\n| --- | ---: | ---: | ---: |")
    for loss in FLAGS.losses:
        config = TrainConfig(
            pooling_steps=0,
            backbone=FLAGS.backbone,
            backbone_weights=FLAGS.backbone_weights,
            loss=loss,
            image_size=FLAGS.image_size,
            classes_per_batch=FLAGS.images // 4,
            precision=FLAGS.precision,
        )
        state, replicas = make_state(config, labels)
        calls = [
            bare_call(state.model, config, images),
            train_call(state, config, replicas, images, labels),
        ]
        seconds = paired_seconds(calls, FLAGS.repeats)
        ratio = statistics.median(seconds[1] / seconds[0])
        medians = " | ".join(f"{statistics.median(each):.3f}" for each in seconds)
        print(f"| {loss} | {medians} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
