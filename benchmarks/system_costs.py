"""Measures what an image costs in each system: time, stored bytes, memory, one process for each.

    python -m benchmarks.system_costs --data_dir=photos --backbone=backbone.keras --images=24

Every system describes the same images with the same backbone at the resolutions of its preset, so
that what differs is the method, not the network. Prints a Markdown table. Weights are as they are,
untrained where the system has some of its own: they cost the same. Times are medians of --repeats
rounds over all images after a first one; matching is the mean time to compare two images.
"""

import json
import statistics
import time
from pathlib import Path

from absl import flags

from benchmarks.measuring import figures_of
from darac_tf import cli
from darac_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder with images, searched to any depth.", required=True)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", "none", "imagenet, none (as fast), or a file.")
flags.DEFINE_integer("images", 24, "Images, evenly chosen.", lower_bound=2)
flags.DEFINE_integer("repeats", 3, "Timed rounds.", lower_bound=1)
flags.DEFINE_list("systems", ["glob_avg", "darac", "gem", "dir", "delf"], "Presets.")
flags.DEFINE_string("worker", None, "Of one process: its system.")


def chosen_images():
    """Paths of --images images."""
    from darac_tf.data.images import IMAGE_SUFFIXES

    found = sorted(p for p in Path(FLAGS.data_dir).rglob("*") if p.suffix in IMAGE_SUFFIXES)
    if len(found) < FLAGS.images:
        raise UserError(f"--data_dir={FLAGS.data_dir}: {len(found)} images, {FLAGS.images} wanted")
    return [str(found[i * len(found) // FLAGS.images]) for i in range(FLAGS.images)]


def global_system(system, paths):
    """`(describe all, bytes an image, compare two)` of a global descriptor."""
    import numpy as np

    from darac_tf.describing.extraction import extract_features
    from darac_tf.describing.sizes import parse_sizes
    from darac_tf.engines import as_engine
    from darac_tf.models import build_descriptor

    model = build_descriptor(FLAGS.backbone, FLAGS.backbone_weights, system.train["pooling"])
    sizes = parse_sizes(system.eval["resolutions"][0])
    engine = as_engine(lambda x: {"": model(x, training=False)})

    def describe():
        return np.asarray(extract_features(engine, paths, sizes, progress=False).vectors(""))

    vectors = np.random.default_rng(0).random((1000, model.output_shape[-1]), np.float32)
    return describe, vectors[0].nbytes, lambda: vectors @ vectors[0], len(vectors)


def local_system(system, paths):
    """The same of local features."""
    import numpy as np

    from darac_tf.data.views import ImageList
    from darac_tf.local_features.extraction import LocalExtractor, fit_local_pca
    from darac_tf.local_features.matching import match
    from darac_tf.local_features.model import AttentionScores, build_delf, inner_model
    from darac_tf.models import build_backbone

    network, preprocessing = build_backbone(FLAGS.backbone, FLAGS.backbone_weights)
    model = build_delf(inner_model(network), preprocessing, AttentionScores())
    few, dim = ImageList(np.array(paths[:2])), system.train["local_dim"]
    pca = fit_local_pca(LocalExtractor(model, few, progress=False), dim)
    extractor = LocalExtractor(model, ImageList(np.array(paths)), pca, progress=False)
    pair = list(LocalExtractor(model, few, pca, progress=False))
    # Kept as half-precision descriptors, float32 places and attention (`local_features.store`).
    n_bytes = sum(len(image) * (2 * dim + 12) for image in pair) / len(pair)
    return lambda: list(extractor), n_bytes, lambda: match(*pair), 1


def work(name):
    """Measures one system in this process and prints the figures as JSON."""
    import resource

    from darac_tf.systems import load_system

    system, paths = load_system(name), chosen_images()
    make = local_system if system.eval.get("matching") == "local" else global_system
    describe, n_bytes, compare, n_compared = make(system, paths)
    seconds = [_timed(describe) for _ in range(FLAGS.repeats + 1)][1:]
    compare()
    matching = statistics.median(_timed(compare) for _ in range(20)) / n_compared
    found = {
        "resolutions": system.eval["resolutions"][0],
        "seconds": statistics.median(seconds) / len(paths),
        "bytes": n_bytes,
        "matching": matching,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }
    print(json.dumps(found))


def _timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def measure(name):
    """The figures of one system, from a process of its own."""
    command = [f"--worker={name}"]
    passed_on = ("data_dir", "backbone", "backbone_weights", "images", "repeats")
    command += [f"--{flag}={FLAGS[flag].value}" for flag in passed_on]
    return figures_of("benchmarks.system_costs", *command)


def main():
    if FLAGS.worker:
        work(FLAGS.worker)
        return
    print(
        "| system | sizes | s/image | against the first | KiB kept | µs a comparison | peak, MiB |"
    )
    print("| --- | --- |" + " ---: |" * 5)
    first = None
    for name in FLAGS.systems:
        found = measure(name)
        first = first or found["seconds"]
        print(
            f"| {name} | {found['resolutions']} | {found['seconds']:.3f} | "
            f"{found['seconds'] / first:.2f} | {found['bytes'] / 1024:.1f} | "
            f"{1e6 * found['matching']:.1f} | {found['peak']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    cli.run(main)
