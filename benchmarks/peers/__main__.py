"""Extraction from files to whitened descriptors, against what users would take instead.

    pip install -r requirements-bench.txt
    python -m benchmarks.peers --data_dir=photos.csv --backbone=ResNet50V2 --backbone_weights=none

Each contestant is a process; they take turns, so that what else the machine does falls on all.
Prints one Markdown table for each size and for all together: median seconds an image, the median
ratio to the bare backbone in TensorFlow within a round, and the peak memory. Peers that are not
installed are left out with a line.
"""

import collections
import statistics

import numpy as np
from absl import flags

from benchmarks.peers.contest import Contestant
from darac_tf import cli
from darac_tf.data import load_dataset
from darac_tf.data.images import stored_size
from darac_tf.errors import UserError
from darac_tf.evaluation.environment import environment

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "CSV of images, or folder of class folders.", required=True)
flags.DEFINE_enum("dataset", "csv", ["folder", "csv"], "Kind of data set.")
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_list("sizes", ["299", "540", "1020"], "Long sides; the last table has all of them.")
flags.DEFINE_integer(
    "images", 8, "Images at the largest size; of smaller ones as many more as take its time."
)
flags.DEFINE_integer("repeats", 5, "Timings of each.", lower_bound=1)
flags.DEFINE_integer("batch_pixels", 1_000_000, "Pixels a batch.", lower_bound=1)
flags.DEFINE_list("only", [], "Take only contestants whose name holds one of these words.")

BASE = "bare backbone, TensorFlow"
_DESCRIBERS = "benchmarks.peers.describers"


def contestants(paths):
    """`{name: (factory, settings)}` of all of them."""
    bare = {"backbone": FLAGS.backbone, "weights": FLAGS.backbone_weights, "paths": paths}
    bare["batch_pixels"] = FLAGS.batch_pixels
    found = {BASE: (f"{_DESCRIBERS}:Bare", bare)}
    for precision in ("float32", "bfloat16"):
        own = bare | {"precision": precision}
        found[f"darac_tf, {precision}"] = (
            f"{_DESCRIBERS}:Extraction",
            own | {"engine": "tensorflow"},
        )
        found[f"darac_tf on OpenVINO, {precision}"] = (
            f"{_DESCRIBERS}:Extraction",
            own | {"engine": "openvino"},
        )
        found[f"bare backbone, OpenVINO, {precision}"] = (f"{_DESCRIBERS}:BareOpenVINO", own)
        found[f"torchvision ResNet50 + GeM, {precision}"] = (
            "benchmarks.peers.torchvision_gem:TorchvisionGeM",
            {"paths": paths, "precision": precision},
        )
    chosen = [name for name in found if not FLAGS.only or any(w in name for w in FLAGS.only)]
    return {name: found[name] for name in dict.fromkeys([BASE, *chosen])}


def photographs():
    """Paths of images of one stored shape, so that all contestants have the same batches."""
    dataset = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    shapes = [stored_size(path) for path in dataset.paths]
    (shape, _), *_ = collections.Counter(shapes).most_common(1)
    chosen = [str(p) for p, own in zip(dataset.paths, shapes, strict=True) if own == shape]
    if len(chosen) < FLAGS.images:
        raise UserError(f"--images={FLAGS.images}: {len(chosen)} images have one shape")
    return chosen, shape


def timed(running, sizes, count):
    """Seconds an image `(contestants, repeats)`, after a round that is not counted."""
    rounds = [[each.seconds(sizes, count) for each in running] for _ in range(1 + FLAGS.repeats)]
    return np.array(rounds[1:]).T / count


def table(names, seconds, title):
    """A Markdown table of one setting."""
    lines = [f"| {title} | s/image | to the bare backbone |", "| --- | ---: | ---: |"]
    for name, own in zip(names, seconds, strict=True):
        ratio = statistics.median(own / seconds[0])
        lines.append(f"| {name} | {statistics.median(own):.4f} | {ratio:.2f} |")
    return "\n".join(lines)


def main():
    paths, shape = photographs()
    about = environment()
    print(
        f"images of {shape[0]} x {shape[1]}, {FLAGS.backbone}, medians of "
        f"{FLAGS.repeats}; {', '.join(f'{key} {value}' for key, value in about.items())}"
    )
    started = [Contestant(name, *how) for name, how in contestants(paths).items()]
    running = [each for each in started if each.absent is None]
    for each in started:
        if each.absent is not None:
            print(f"left out: {each.name} ({each.absent})")
    sizes = list(map(int, FLAGS.sizes))
    settings = [[size] for size in sizes] + ([sizes] if len(sizes) > 1 else [])
    for setting in settings:
        more = sum(size**2 for size in sizes) / sum(size**2 for size in setting)
        count = min(round(FLAGS.images * more), len(paths))
        seconds = timed(running, setting, count)
        title = f"{', '.join(map(str, setting))}: {count} images"
        print(f"\n{table([each.name for each in running], seconds, title)}", flush=True)
    print("\n| peak memory | MiB |\n| --- | ---: |")
    for each in started:
        peak = each.close()
        if each.absent is None:
            print(f"| {each.name} | {peak:.0f} |")


if __name__ == "__main__":
    cli.run(main)
