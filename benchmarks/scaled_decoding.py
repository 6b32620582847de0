"""What --scaled_decoding gains and changes on large photographs, in one run.

    python -m benchmarks.scaled_decoding --data_dir=photos.csv --backbone_weights=none

The photographs are enlarged to --side pixels first, with noise as a sensor has, and kept as JPEG,
so that their size can be chosen; give photographs of that size where there are some. Prints a
Markdown table: for each size, seconds an image from files to descriptors with and without, their
ratio (medians of --repeats, taking turns), and the cosine of the two descriptors (mean, least).
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from darac_tf import cli
from darac_tf.choices import ENGINE_PRECISIONS
from darac_tf.data import load_dataset
from darac_tf.describing.extraction import extract_features
from darac_tf.engines import EngineSettings, make_engine
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of class folders, or CSV.", required=True)
flags.DEFINE_enum("dataset", "csv", ["folder", "csv"], "Kind of data set.")
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_enum("precision", "float32", ENGINE_PRECISIONS, "Of the backbone.")
flags.DEFINE_list("sizes", ["299", "540", "1020"], "Long sides; the last row has all of them.")
flags.DEFINE_integer("side", 4032, "Long side of the files.", lower_bound=64)
flags.DEFINE_integer("images", 8, "Images.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Timings of each.", lower_bound=1)

_NOISE = 3.0
_QUALITY = 92


def enlarged(paths, folder):
    """Paths of the enlarged photographs."""
    rng = np.random.default_rng(0)
    written = []
    for place, path in enumerate(paths):
        image = Image.open(path).convert("RGB")
        sides = [round(side * FLAGS.side / max(image.size)) for side in image.size]
        pixels = np.asarray(image.resize(sides, Image.LANCZOS), np.float32)
        pixels += rng.normal(0, _NOISE, pixels.shape)
        written.append(str(Path(folder) / f"{place}.jpg"))
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        picture.save(written[-1], quality=_QUALITY)
    return np.array(written)


def describe_in_turns(engine, paths, sizes):
    """Seconds an image `(2, repeats)` and descriptors of both ways, full decoding first."""
    seconds, vectors = [[], []], [None, None]
    for repeat in range(1 + FLAGS.repeats):
        for way, scaled in enumerate((False, True)):
            started = time.perf_counter()
            features = extract_features(
                engine, paths, sizes, progress=False, scaled_decoding=scaled
            )
            vectors[way] = np.asarray(features.vectors(""))
            if repeat:
                seconds[way].append((time.perf_counter() - started) / len(paths))
    return np.array(seconds), vectors


def main():
    dataset = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    model = build_descriptor(FLAGS.backbone, FLAGS.backbone_weights, "darac")
    poolings = {"": model.get_layer(POOLING_LAYER)}
    engine = make_engine(EngineSettings(precision=FLAGS.precision), *backbone_of(model), poolings)
    sizes = list(map(int, FLAGS.sizes))
    print("| size | full, s/image | scaled, s/image | ratio | cosine, mean | least |")
    print("| ---: " * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        paths = enlarged(dataset.paths[: FLAGS.images], folder)
        for own in [*([size] for size in sizes), *([sizes] if len(sizes) > 1 else [])]:
            seconds, (full, scaled) = describe_in_turns(engine, paths, own)
            cosines = np.sum(full * scaled, axis=1)
            medians = " | ".join(f"{statistics.median(way):.4f}" for way in seconds)
            ratio = statistics.median(seconds[1] / seconds[0])
            print(
                f"| {'+'.join(map(str, own))} | {medians} | {ratio:.2f} | "
                f"{cosines.mean():.5f} | {cosines.min():.5f} |",
                flush=True,
            )


if __name__ == "__main__":
    cli.run(main)
