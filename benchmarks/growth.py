"""How cost grows: with the number of images, with their size, and with the database.

    python -m benchmarks.growth --data_dir=photos --backbone=ResNet50V2 --backbone_weights=none \
        --out=runs/growth

Prints a Markdown table for each and writes one picture. The slope is that of a straight line
through the logarithms of what is measured; the ideal is 1 for images and database, 2 for the side.
"""

import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from matplotlib.figure import Figure

from benchmarks.measuring import seconds_of
from darac_tf import cli
from darac_tf.data.images import images_below
from darac_tf.describing.extraction import extract_features
from darac_tf.engines import EngineSettings, make_engine
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of
from darac_tf.ranking.exact_search import search
from darac_tf.reports import markdown

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder with images, searched to any depth.", required=True)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_list("images", ["100", "300", "1000", "3000", "10000"], "Numbers of images.")
flags.DEFINE_integer("image_size", 64, "Long side of these.", lower_bound=32)
flags.DEFINE_list(
    "sides", ["224", "299", "448", "640", "900", "1130", "1600"], "Of a square image."
)
flags.DEFINE_list("database", ["10000", "30000", "100000", "300000", "1000000"], "Vectors.")
flags.DEFINE_integer("dim", 512, "Of the vectors.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Timings of a side or database; the fastest counts.")
flags.DEFINE_string("out", None, "Folder of the picture.", required=True)

_QUERIES, _RANKS = 70, 1000


def fastest(call):
    """Seconds of the fastest of several calls, after one that is not counted."""
    return min(seconds_of(call, FLAGS.repeats))


def by_images(describe):
    """`{images: seconds}`, from files to descriptors. Files are taken again where there are few."""
    files = images_below(FLAGS.data_dir)
    if not files:
        raise UserError(f"--data_dir={FLAGS.data_dir}: holds no images")
    found = {}
    for count in map(int, FLAGS.images):
        # Spread over all files, so that few images have the shapes of many.
        places = np.arange(count) * max(len(files) // count, 1) % len(files)
        paths = np.array(files)[places]
        started = time.perf_counter()
        extract_features(describe, paths, [FLAGS.image_size], progress=False)
        found[count] = time.perf_counter() - started
    return found


def by_side(describe):
    """`{side: seconds}` of one image."""
    rng = np.random.default_rng(0)
    found = {}
    for side in map(int, FLAGS.sides):
        pixels = tf.constant(rng.uniform(0, 255, (1, side, side, 3)), tf.float32)
        found[side] = fastest(lambda pixels=pixels: np.asarray(describe(pixels)["d"]))
    return found


def by_database():
    """`{vectors: seconds}` of a search with several queries."""
    rng = np.random.default_rng(0)
    counts = list(map(int, FLAGS.database))
    vectors = rng.standard_normal((max(counts), FLAGS.dim), np.float32)
    queries = vectors[:_QUERIES].copy()
    found = {}
    for count in counts:
        database = vectors[:count]
        found[count] = fastest(lambda rows=database: search(queries, rows, top_k=_RANKS))
    return found


def slope(found):
    """Exponent of the growth: a straight line through the logarithms."""
    return np.polyfit(*np.log([list(found), list(found.values())]), 1)[0]


def table(name, found, ideal):
    """A Markdown table of one growth; the last column is level where it is ideal."""
    rows = [[f"{n:,}", f"{s:.4g}", f"{1e6 * s / n**ideal:.4g}"] for n, s in found.items()]
    unit = f"µs, by {name}" if ideal == 1 else f"µs, by {name}^{ideal}"
    return markdown.table([name, "s", unit], rows, [True] * 3)


def draw(path, growths):
    """Draws `{name: (found, ideal slope)}`, each with a line of the ideal slope."""
    figure = Figure(figsize=(5 * len(growths), 4))
    axes = figure.subplots(1, len(growths))
    for axis, (name, (found, ideal)) in zip(axes, growths.items(), strict=True):
        counts, seconds = np.array(list(found)), np.array(list(found.values()))
        axis.loglog(counts, seconds, "o-", label=f"measured, slope {slope(found):.2f}")
        line = seconds[-1] * (counts / counts[-1]) ** ideal
        axis.loglog(counts, line, "--", color="gray", label=f"slope {ideal}")
        axis.set(xlabel=name, ylabel="seconds")
        axis.legend()
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def main():
    keras.utils.set_random_seed(0)
    model = build_descriptor(FLAGS.backbone, FLAGS.backbone_weights, "darac")
    poolings = {"d": model.get_layer(POOLING_LAYER)}
    describe = make_engine(EngineSettings(), *backbone_of(model), poolings)
    describe(tf.zeros([1, 64, 64, 3]))
    growths = {}
    for name, measure, ideal in (
        ("images", lambda: by_images(describe), 1),
        ("side", lambda: by_side(describe), 2),
        ("database", by_database, 1),
    ):
        growths[name] = measure(), ideal
        print(table(name, *growths[name]))
        print(f"\nslope {slope(growths[name][0]):.2f}, ideal {ideal}\n", flush=True)
    path = Path(FLAGS.out) / "growth.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(path, growths)
    print(path)


if __name__ == "__main__":
    cli.run(main)
