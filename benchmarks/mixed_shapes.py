"""Times photographs of hundreds of shapes against as many of one shape, in one run.

    python -m benchmarks.mixed_shapes --data_dir=photos.csv --sizes=299,540

Cuts --images boxes out of the photographs: all of 4:3, and of as many shapes as --shapes says, with
aspects from 1:1 to 2:1 in either orientation. Prints a Markdown table: the share of full batches,
here and with 64 images a batch as on a GPU, resized megapixels a second, and the median ratio to
one shape within a round. Pixels are counted and not images, since shapes differ in them.
"""

import statistics
import time

import numpy as np
from absl import flags

from darac_tf import cli
from darac_tf.choices import DEFAULT_BATCH_PIXELS, SHAPES
from darac_tf.data import load_dataset
from darac_tf.data.pipeline import MAX_BATCH, batch_by_shape
from darac_tf.data.views import ImageList, read_views
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.sizes import LongSide
from darac_tf.describing.sources import load_sources

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "CSV or folder of photographs.", required=True)
flags.DEFINE_enum("dataset", "csv", ["csv", "folder"], "Kind of data set.")
flags.DEFINE_string("descriptor", "EfficientNetLite0+rmac", "BACKBONE+POOLING.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_list("sizes", ["299"], "Long sides, one after another.")
flags.DEFINE_integer("images", 1000, "Photographs; each is taken again where there are fewer.")
flags.DEFINE_integer("shapes", 300, "Shapes that they have.", lower_bound=1)
flags.DEFINE_integer("batch_pixels", DEFAULT_BATCH_PIXELS, "Pixels a batch.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Timings of each; 0 counts batches alone.", lower_bound=0)


def boxes_of(shapes, aspects):
    """Largest boxes in the middle of images, `(images, 4)`, of a width to height each.

    Of heights and widths `(images, 2)` and aspects `(images,)`.
    """
    height, width = shapes.T
    sides = np.minimum(height * aspects, width)
    sides = np.stack([sides, np.minimum(width / aspects, height)], axis=1)
    corner = (shapes[:, ::-1] - sides) // 2
    return np.concatenate([corner, corner + sides], axis=1)


def fullness(views, size, batch_pixels):
    """Images in the batches as a share of those that would have had space in them."""
    shapes = np.stack(size.planned_size(*views.shapes.T), axis=1)[:, None]
    plan = batch_by_shape(shapes, batch_pixels)
    first = np.cumsum(plan.sizes) - plan.sizes
    space = np.clip(batch_pixels // plan.shapes[first].prod(axis=2)[:, 0], 1, MAX_BATCH)
    return len(shapes) / space.sum()


def main():
    paths = load_dataset(FLAGS.dataset, FLAGS.data_dir).paths
    paths = np.resize(np.asarray(paths), FLAGS.images)
    whole = read_views(paths)[0].shapes
    rng = np.random.default_rng(0)
    aspects = np.exp(np.linspace(-np.log(2), np.log(2), FLAGS.shapes))
    mixed = ImageList(paths, boxes_of(whole, rng.permutation(np.resize(aspects, len(paths)))))
    one = ImageList(paths, boxes_of(whole, np.full(len(paths), 4 / 3)))
    (source,) = load_sources([FLAGS.descriptor], FLAGS.backbone_weights)
    print("| size | photographs | full here | full of 64 | megapixels/s | ratio |")
    print("| ---: | --- |" + " ---: |" * 4)
    for side in map(int, FLAGS.sizes):
        runs = {"one shape": (one, LongSide(side))}
        for shapes in SHAPES:
            runs[f"{FLAGS.shapes} shapes, {shapes}"] = mixed, LongSide(side, shapes=shapes)
        measure(source.describe, runs, side)


def measure(describe, runs, side):
    """Prints the rows of one size, of a dictionary of name to `(ImageList, LongSide)`."""
    views = {name: read_views(images)[0] for name, (images, _) in runs.items()}
    planned = {name: np.stack(runs[name][1].planned_size(*views[name].shapes.T)) for name in runs}
    rates = {name: [] for name in runs}
    for repeat in range(FLAGS.repeats + 1) if FLAGS.repeats else ():
        for name, (images, size) in runs.items():
            some = images if repeat else images.select(np.arange(min(32, len(images))))
            started = time.perf_counter()
            extract_features(
                describe, some, [size], batch_pixels=FLAGS.batch_pixels, progress=False
            )
            seconds = time.perf_counter() - started
            if repeat:  # the first one is traced and warms up
                rates[name].append(planned[name].prod(axis=0).sum() / 1e6 / seconds)
    base = rates["one shape"]
    for name, own in rates.items():
        full = [
            fullness(views[name], runs[name][1], pixels)
            for pixels in (FLAGS.batch_pixels, MAX_BATCH * side**2)
        ]
        timed = ["-", "-"]
        if own:
            ratio = statistics.median(mine / its for mine, its in zip(own, base, strict=True))
            timed = [f"{statistics.median(own):.2f}", f"{ratio:.2f}"]
        figures = " | ".join([*(f"{share:.2f}" for share in full), *timed])
        print(f"| {side} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
