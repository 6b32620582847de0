"""Times everything around the backbone as a share of the backbone's own time, in one run.

    python -m benchmarks.around_backbone --data_dir=photos --backbone=ResNet50V2

Prints a Markdown table: for each size, seconds an image of the bare backbone, and decode, resize,
pooling and the whole extraction (from files, overlapped) as shares of it. Medians of --repeats.
"""

import collections
import statistics

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring import seconds_of
from darac_tf import cli
from darac_tf.data import load_dataset
from darac_tf.data.images import decode_image, resize_long_side, stored_size
from darac_tf.describing.extraction import extract_features
from darac_tf.engines import as_engine
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of class folders, or CSV.", required=True)
flags.DEFINE_enum("dataset", "csv", ["folder", "csv"], "Kind of data set.")
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_string("pooling", "darac", "Pooling.")
flags.DEFINE_list("sizes", ["299", "540", "1020"], "Long sides.")
flags.DEFINE_integer("images", 24, "Images in each timing.")
flags.DEFINE_integer("repeats", 3, "Timings of each part.")

BATCH = {299: 8, 540: 4}


def median_seconds(call):
    """Median seconds of `call()`, after one call that is not counted."""
    return statistics.median(seconds_of(call, FLAGS.repeats))


def measure(model, paths, size):
    """Seconds an image of each part at one size, as a dictionary."""
    data = [tf.io.read_file(path) for path in paths]
    images = [decode_image(d) for d in data]
    batch = min(BATCH.get(size, 1), len(paths))
    pixels = tf.stack([resize_long_side(image, size) for image in images[:batch]])
    network, preprocessing = backbone_of(model)
    pooling = model.get_layer(POOLING_LAYER)
    backbone = tf.function(lambda x: network(preprocessing(x), training=False))
    pool = tf.function(pooling)
    maps = backbone(pixels)
    decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
    resize = tf.function(lambda x: resize_long_side(x, size), reduce_retracing=True)
    engine = as_engine(lambda x: {"": model(x, training=False)})

    def extract():
        options = {"batch_pixels": batch * size * size, "progress": False}
        return extract_features(engine, paths, [size], **options)

    return {
        "backbone": median_seconds(lambda: backbone(pixels)) / batch,
        "decode": median_seconds(lambda: [decode(d) for d in data]) / len(paths),
        "resize": median_seconds(lambda: [resize(image) for image in images]) / len(paths),
        "pooling": median_seconds(lambda: pool(maps)) / batch,
        "files to descriptors": median_seconds(extract) / len(paths),
    }


def main():
    dataset = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    shapes = [stored_size(path) for path in dataset.paths]
    (shape, _), *_ = collections.Counter(shapes).most_common(1)
    # One shape, so that the batches of the bare backbone and of the extraction are the same.
    chosen = [path for path, own in zip(dataset.paths, shapes, strict=True) if own == shape]
    paths = np.array(chosen[: FLAGS.images])
    model = build_descriptor(FLAGS.backbone, FLAGS.backbone_weights, FLAGS.pooling)
    print(f"{len(paths)} images of {shape[0]} x {shape[1]}, {FLAGS.backbone}, {FLAGS.pooling}")
    parts = ["decode", "resize", "pooling", "files to descriptors"]
    print("| size | backbone, s/image | " + " | ".join(parts) + " |")
    print("| ---: " * (2 + len(parts)) + "|")
    for size in map(int, FLAGS.sizes):
        found = measure(model, paths, size)
        shares = [f"{100 * found[part] / found['backbone']:.1f} %" for part in parts]
        print(f"| {size} | {found['backbone']:.4f} | " + " | ".join(shares) + " |", flush=True)


if __name__ == "__main__":
    cli.run(main)
