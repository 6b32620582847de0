"""Times an exported model against the bare backbone on the same images, in one run.

    python -m benchmarks.serving_latency --backbone=ResNet50V2 --backbone_weights=none

Prints a Markdown table: for each resolution setting and batch size, milliseconds of the exported
model from JPEG bytes (`serving_default`) and from pixels (`pixels`), of the bare backbone on the
resized float pixels of the same images, and their ratios. Medians of --repeats, taken in turns so
that a busy machine slows all alike.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags

from darac_tf import cli
from darac_tf.choices import EXPORT_PRECISIONS
from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.describing.sizes import parse_sizes
from darac_tf.export import export_saved_model
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import backbone_of

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_string("pooling", "darac", "Pooling.")
flags.DEFINE_multi_string("resolutions", ["299", "299,540,1020"], "Settings to time.")
flags.DEFINE_list("batches", ["1", "8", "32"], "Images in a request.")
flags.DEFINE_enum("precision", "float32", list(EXPORT_PRECISIONS), "What weights are stored in.")
flags.DEFINE_integer("height", 768, "Of the stored images.", lower_bound=8)
flags.DEFINE_integer("width", 1024, "Of the stored images.", lower_bound=8)
flags.DEFINE_integer("repeats", 5, "Timings of each.", lower_bound=1)


def drawn_files(count, height, width):
    """JPEG files of coarse noise, which decode at the speed of photographs."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        cells = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).astype(np.float32)
        pixels = tf.cast(tf.image.resize(cells, [height, width]), tf.uint8)
        files.append(tf.io.encode_jpeg(pixels, quality=90).numpy())
    return files


def median_milliseconds(calls, repeats):
    """Dictionary of name to median milliseconds of calls, run in turns after one not counted."""
    spent = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            spent[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(times) for name, times in spent.items()}


def calls_of(served, backbone, files, sizes):
    """What is timed, as a dictionary of name to function."""
    images = tf.stack([decode_image(data) for data in files])
    resized = [tf.stack([resize_long_side(i, size.pixels) for i in images]) for size in sizes]
    data = tf.constant(files)
    return {
        "backbone": lambda: [backbone(pixels).numpy() for pixels in resized],
        "bytes": lambda: served["serving_default"](image_bytes=data)["descriptor"].numpy(),
        "pixels": lambda: served["pixels"](pixels=images)["descriptor"].numpy(),
    }


def main():
    model = build_descriptor(FLAGS.backbone, FLAGS.backbone_weights, FLAGS.pooling)
    network, preprocessing = backbone_of(model)
    spec = [tf.TensorSpec([None, None, None, 3], tf.float32)]
    backbone = tf.function(lambda x: network(preprocessing(x), training=False), spec)
    batches = list(map(int, FLAGS.batches))
    files = drawn_files(max(batches), FLAGS.height, FLAGS.width)
    print(
        f"{FLAGS.backbone}, {FLAGS.pooling}, {FLAGS.precision}, JPEG of {FLAGS.height} x "
        f"{FLAGS.width}; milliseconds a request, medians of {FLAGS.repeats}"
    )
    print(
        "| resolutions | batch | backbone | from bytes | ratio | from pixels | ratio | images/s |"
    )
    print("| --- " + "| ---: " * 7 + "|")
    for text in FLAGS.resolutions:
        sizes = parse_sizes(text)
        with tempfile.TemporaryDirectory() as folder:
            export_saved_model(model, Path(folder) / "1", sizes, precision=FLAGS.precision)
            loaded = tf.saved_model.load(str(Path(folder) / "1"))
        for batch in batches:
            calls = calls_of(loaded.signatures, backbone, files[:batch], sizes)
            found = median_milliseconds(calls, FLAGS.repeats)
            bare, from_bytes, from_pixels = found["backbone"], found["bytes"], found["pixels"]
            print(
                f"| {text} | {batch} | {bare:.1f} | {from_bytes:.1f} | {from_bytes / bare:.2f} | "
                f"{from_pixels:.1f} | {from_pixels / bare:.2f} | {1000 * batch / from_bytes:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    cli.run(main)
