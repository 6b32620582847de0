"""Measures the peak memory of a training step by batch and by chunk, one process for each.

    python -m benchmarks.chunk_memory --backbone=ResNet50V2 --backbone_weights=none

Prints a Markdown table: batch, `--chunk_size`, seconds of a step, and what it adds to the resident
memory of a process that has built the run. With a chunk, it must not grow with the batch.
"""

import json
import time

import numpy as np
from absl import flags

from benchmarks.measuring import figures_of, peak_mib, resident_mib
from darac_tf import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_integer("image_size", 128, "Side of the images.", lower_bound=32)
flags.DEFINE_list("batches", ["16", "32", "64"], "Images in a batch.")
flags.DEFINE_list("chunks", ["all", "8"], "Images in a chunk; all for the plain step.")
flags.DEFINE_integer("steps", 3, "Steps of each; the last is timed.", lower_bound=1)
flags.DEFINE_string("worker", None, "Of one process: images and chunk, as JSON.")


def work(images, chunk):
    """Makes steps in this process and prints the figures as JSON."""
    # Imported here: the process that starts the others needs none of it.
    import tensorflow as tf

    from darac_tf.training.config import TrainConfig
    from darac_tf.training.replicas import make_replicas
    from darac_tf.training.state import build_state
    from darac_tf.training.step import make_train_step

    config = TrainConfig(
        pooling_steps=0,
        backbone=FLAGS.backbone,
        backbone_weights=FLAGS.backbone_weights,
        image_size=FLAGS.image_size,
        classes_per_batch=images // 4,
        chunk_size=chunk,
    )
    replicas = make_replicas()
    state = build_state(config, images // 4, replicas)
    step = make_train_step(state, config, replicas)
    pixels = np.random.default_rng(0).uniform(0, 255, (images, *[FLAGS.image_size] * 2, 3))
    pixels, labels = tf.constant(pixels, tf.float32), tf.constant(np.arange(images) // 4, tf.int32)
    before = resident_mib()
    for _ in range(FLAGS.steps):
        started = time.perf_counter()
        float(step(pixels, labels)[0])
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "added": peak_mib() - before}))


def measure(images, chunk):
    """The figures of one process."""
    command = [f"--backbone={FLAGS.backbone}", f"--image_size={FLAGS.image_size}"]
    command += [f"--steps={FLAGS.steps}", f"--worker={json.dumps([images, chunk])}"]
    if FLAGS.backbone_weights:
        command.append(f"--backbone_weights={FLAGS.backbone_weights}")
    return figures_of("benchmarks.chunk_memory", *command)


def main():
    if FLAGS.worker:
        work(*json.loads(FLAGS.worker))
        return
    print("| batch | chunk | step, s | added at the peak, MiB |\n| ---: | ---: | ---: | ---: |")
    for chunk in FLAGS.chunks:
        for images in map(int, FLAGS.batches):
            found = measure(images, None if chunk == "all" else int(chunk))
            print(
                f"| {images} | {chunk} | {found['seconds']:.2f} | {found['added']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    cli.run(main)
