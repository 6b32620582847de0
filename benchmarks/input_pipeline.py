"""Times training batches against a bare parallel decode + resize of the same images, in one run.

    python -m benchmarks.input_pipeline --dataset=folder --data_dir=photos --image_size=299

The bare pipeline reads, decodes, resizes and batches the images that the training batches have, on
the same cores. What training adds are the choice of the images, crops, mirroring and light. Runs
alternate; the first batches of each, in which the maps find their pace, aren't counted. Prints a
Markdown table of images/s and milliseconds of a core for an image, and their ratios.
"""

import time

import numpy as np
import tensorflow as tf
from absl import flags

from darac_tf import cli
from darac_tf.choices import DATASETS
from darac_tf.data import load_dataset
from darac_tf.data.augmentation import Augmentation, CropShapes
from darac_tf.data.images import decode_image, resize
from darac_tf.data.samplers import ClassBalancedSampler, TemperedSampler
from darac_tf.training.batches import training_batches

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "folder", list(DATASETS), "Kind of data set.")
flags.DEFINE_string("data_dir", None, "Folder or CSV of the data set.", required=True)
flags.DEFINE_integer("image_size", 299, "Side of the images.")
flags.DEFINE_float("class_power", None, "As of train.py.")
# Batches before the parallel maps have found their pace.
_WARM_UP = 10
flags.DEFINE_integer("steps", 60, "Batches of 12 x 4 images in each run.", lower_bound=_WARM_UP + 1)
flags.DEFINE_integer("repeats", 9, "Runs of each.", lower_bound=1)


def bare_batches(images, order, size, batch):
    """Batches of decoded and resized images, and nothing else."""

    def load(index):
        return resize(decode_image(images.read(index)), size, size)

    loaded = tf.data.Dataset.from_tensor_slices(order).map(load, tf.data.AUTOTUNE)
    return loaded.batch(batch, drop_remainder=True).prefetch(2)


def time_per_image(batches, batch):
    """Seconds and seconds of a core, once the pipeline has found its pace."""
    batches = iter(batches)
    for _ in range(_WARM_UP):
        next(batches)
    wall, core = time.perf_counter(), time.process_time()
    images = batch * sum(1 for _ in batches)
    return (time.perf_counter() - wall) / images, (time.process_time() - core) / images


def main():
    images = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    if FLAGS.class_power is None:
        sampler = ClassBalancedSampler(images.labels, 12, 4, 0)
    else:
        sampler = TemperedSampler(images.labels, 12, 4, FLAGS.class_power, 0)
    order = np.concatenate([sampler.batch(step) for step in range(FLAGS.steps)])
    size, steps = FLAGS.image_size, FLAGS.steps
    shapes = CropShapes(None, size, 0)
    pipelines = {
        "decode and resize": lambda: bare_batches(images, order, size, sampler.batch_size),
        "training": lambda: training_batches(
            images, sampler, Augmentation(), shapes, 0, steps, seed=0
        ),
        "training, --light=0": lambda: training_batches(
            images, sampler, Augmentation(light=0.0), shapes, 0, steps, seed=0
        ),
    }
    times = {name: [] for name in pipelines}
    for _ in range(1 + FLAGS.repeats):
        for name, make in pipelines.items():
            times[name].append(time_per_image(make(), sampler.batch_size))
    print(f"{FLAGS.data_dir}, {size} pixels, {FLAGS.repeats} runs of {steps - _WARM_UP} batches")
    print("| batches | images/s | ratio | ms of a core | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    bare = np.array(times["decode and resize"][1:])
    for name, found in times.items():
        found = np.array(found[1:])
        wall, core = np.median(found, axis=0)
        of_wall, of_core = np.median(bare / found, axis=0)
        print(f"| {name} | {1 / wall:.0f} | {of_wall:.3f} | {1000 * core:.2f} | {of_core:.3f} |")


if __name__ == "__main__":
    cli.run(main)
