"""Measures the peak memory of extraction for growing numbers of images, one process for each.

    python -m benchmarks.extraction_memory --data_dir=photos --images=250,2593

Prints a Markdown table: the resident memory before the first image, the peak after the last, with
descriptors in memory and with a cache on disk, which is made anew each time. The network is small,
so that what grows with the number of images is not hidden behind it.
"""

import json
import tempfile
from pathlib import Path

import keras
from absl import flags

from benchmarks.measuring import figures_of, peak_mib, resident_mib
from darac_tf import cli
from darac_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder with images, searched to any depth.", required=True)
flags.DEFINE_list("images", ["250", "2593"], "Numbers of images.")
flags.DEFINE_integer("size", 224, "Long side.")
flags.DEFINE_integer("batch_pixels", 200_000, "Small, so that few images fill batches as many do.")
flags.DEFINE_integer("dim", 2048, "Dimension of the descriptors.")
flags.DEFINE_string("worker", None, "Of one process: number of images and cache folder, as JSON.")


def network(dim):
    """Two convolutions, and `dim` channels only after the pooling, so that its maps are small."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(16, 8, strides=8, activation="relu")(inputs)
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(dim)(keras.layers.GlobalAveragePooling2D()(x)))


def work(count, cache_folder):
    """Extracts in this process and prints the figures as JSON."""
    # Imported here: the process that starts the others needs none of it.
    from darac_tf.data.images import IMAGE_SUFFIXES
    from darac_tf.describing.extraction import extract_features
    from darac_tf.describing.feature_cache import FeatureCache
    from darac_tf.describing.fingerprint import model_fingerprint
    from darac_tf.engines import as_engine

    found = sorted(p for p in Path(FLAGS.data_dir).rglob("*") if p.suffix in IMAGE_SUFFIXES)
    if len(found) < count:
        raise UserError(f"--data_dir={FLAGS.data_dir}: {len(found)} images, and {count} are wanted")
    # Evenly chosen, so that few images have the shapes of many.
    paths = [str(found[i * len(found) // count]) for i in range(count)]
    model = network(FLAGS.dim)
    cache = None
    if cache_folder:
        cache = FeatureCache(cache_folder, {"d": model_fingerprint(model)})
    engine = as_engine(lambda x: {"d": model(x, training=False)})
    options = {"batch_pixels": FLAGS.batch_pixels, "progress": False}
    before = resident_mib()
    rows = extract_features(engine, paths, [FLAGS.size], cache, **options)[FLAGS.size]["d"]
    total = sum(float(rows[start : start + 256].sum()) for start in range(0, count, 256))
    print(json.dumps({"before": before, "peak": peak_mib(), "sum": total}))


def measure(count, cache_folder):
    """The figures of one process."""
    command = [f"--data_dir={FLAGS.data_dir}", f"--size={FLAGS.size}", f"--dim={FLAGS.dim}"]
    command += [f"--batch_pixels={FLAGS.batch_pixels}"]
    command += [f"--worker={json.dumps([count, cache_folder])}"]
    return figures_of("benchmarks.extraction_memory", *command)


def main():
    if FLAGS.worker:
        work(*json.loads(FLAGS.worker))
        return
    print("| images | descriptors | before, MiB | peak, MiB |\n| ---: | --- | ---: | ---: |")
    for kept in ("in memory", "in a cache"):
        for count in map(int, FLAGS.images):
            with tempfile.TemporaryDirectory() as folder:
                found = measure(count, folder if kept == "in a cache" else None)
            print(f"| {count} | {kept} | {found['before']:.0f} | {found['peak']:.0f} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
