"""Times training batches against a bare parallel decode + resize of the same images, in one run.

    python -m benchmarks.input_pipeline --dataset=folder --data_dir=photos --image_size=299

The bare pipeline reads, decodes, resizes and batches the images that the training batches have, on
the same cores. What training adds are the choice of the images, crops, mirroring and light. Runs
alternate. Prints a Markdown table of images/s and their ratio.
"""

import statistics
import time

import numpy as np
import tensorflow as tf
from absl import flags

from darac_tf import cli
from darac_tf.data import DATASETS, load_dataset
from darac_tf.data.augmentation import Augmentation
from darac_tf.data.images import decode_image, resize
from darac_tf.data.pipeline import training_batches
from darac_tf.data.sampling import ClassBalancedSampler
from darac_tf.data.tempered_sampling import TemperedSampler

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "folder", list(DATASETS), "Kind of data set.")
flags.DEFINE_string("data_dir", None, "Folder or CSV of the data set.", required=True)
flags.DEFINE_integer("image_size", 299, "Side of the images.")
flags.DEFINE_float("class_power", None, "As of train.py.")
flags.DEFINE_integer("steps", 20, "Batches of 12 x 4 images in each timing.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Timings of each.", lower_bound=1)


def bare_batches(images, order, size, batch):
    """Batches of decoded and resized images, and nothing else."""

    def load(index):
        return resize(decode_image(images.read(index)), size, size)

    loaded = tf.data.Dataset.from_tensor_slices(order).map(load, tf.data.AUTOTUNE)
    return loaded.batch(batch, drop_remainder=True).prefetch(2)


def images_per_second(batches, images):
    """Of one pass through a data set."""
    started = time.perf_counter()
    for _ in batches:
        pass
    return images / (time.perf_counter() - started)


def main():
    images = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    if FLAGS.class_power is None:
        sampler = ClassBalancedSampler(images.labels, 12, 4, 0)
    else:
        sampler = TemperedSampler(images.labels, 12, 4, FLAGS.class_power, 0)
    count = FLAGS.steps * sampler.batch_size
    order = np.concatenate([sampler.batch(step) for step in range(FLAGS.steps)])
    size, steps = FLAGS.image_size, FLAGS.steps
    pipelines = {
        "decode and resize": lambda: bare_batches(images, order, size, sampler.batch_size),
        "training": lambda: training_batches(
            images, sampler, Augmentation(), size, 0, steps, seed=0
        ),
        "training, --light=0": lambda: training_batches(
            images, sampler, Augmentation(light=0.0), size, 0, steps, seed=0
        ),
    }
    rates = {name: [] for name in pipelines}
    for _ in range(1 + FLAGS.repeats):
        for name, make in pipelines.items():
            rates[name].append(images_per_second(make(), count))
    print(f"{count} images of {FLAGS.data_dir}, {size} pixels")
    print("| batches | images/s | ratio |\n| --- | ---: | ---: |")
    bare = rates["decode and resize"][1:]
    for name, found in rates.items():
        ratios = [own / other for own, other in zip(found[1:], bare, strict=True)]
        print(f"| {name} | {statistics.median(found[1:]):.0f} | {statistics.median(ratios):.3f} |")


if __name__ == "__main__":
    cli.run(main)
