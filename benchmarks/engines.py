"""Times the engines of a description against the bare backbone in Keras, in one run.

    python -m benchmarks.engines --backbone=ResNet50V2

Prints a Markdown table: for each size and contender the seconds an image on the clock and on the
processors, and ratios to the bare Keras backbone and to openvino of the same precision. Medians of
--repeats, all contenders in turns. Seconds on the processors mean something on a shared machine
too; ratios are of them. `taskset -c 0 python ...` runs everything on one core. Needs no data: the
pixels are random, and so are weights with --backbone_weights=none, which cost the same.
"""

import importlib.metadata
import importlib.util
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from darac_tf import cli
from darac_tf.choices import ENGINE_PRECISIONS, ENGINES
from darac_tf.engines import Calibration, EngineSettings, FunctionEngine, make_engine
from darac_tf.models import build_backbone
from darac_tf.models.descriptor import make_pooling, share_backbone
from darac_tf.reports.environment import cpu_name

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", "none", "imagenet, none (as fast), or a file.")
flags.DEFINE_string("pooling", "darac", "Pooling.")
flags.DEFINE_list("sizes", ["299", "540", "1020"], "Sides of the images.")
flags.DEFINE_integer("repeats", 5, "Timings of each.", lower_bound=1)
flags.DEFINE_list("engines", list(ENGINES), "Engines; one that is not installed is left out.")

BATCH = {299: 8, 540: 4}
BARE = "Keras backbone"


def build_parts():
    """`(network, preprocessing, poolings)`."""
    keras.utils.set_random_seed(0)
    weights = None if FLAGS.backbone.endswith(".keras") else FLAGS.backbone_weights
    network, preprocessing = build_backbone(FLAGS.backbone, weights)
    if weights == "none":
        _as_trained(network)
    pooling = make_pooling(FLAGS.pooling)
    pooling.build((None, None, None, network.output_shape[-1]))
    return network, preprocessing, {FLAGS.pooling: pooling}


def _as_trained(network):
    """No zeros among biases and statistics: adding them might be optimised away."""
    random = np.random.default_rng(0)
    for variable in network.variables:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(random.normal(0, 0.1, variable.shape))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.8, 1.2, variable.shape))


def contenders(parts):
    """Dictionary of name to function of pixels."""
    network, preprocessing, _ = parts
    found = {
        BARE: FunctionEngine(lambda x: {"": network(preprocessing(x), training=False)}),
        "Keras descriptor": FunctionEngine(share_backbone(*parts)),
    }
    for engine in FLAGS.engines:
        if engine != "tensorflow" and importlib.util.find_spec(engine) is None:
            print(f"{engine} is not installed and left out: pip install {engine}")
            continue
        for precision in ENGINE_PRECISIONS[: 2 + (engine == "openvino")]:
            random = np.random.default_rng(0).uniform(0, 255, (8, 1, 224, 224, 3))
            calibration = Calibration([*random.astype(np.float32)], "random")
            how = (calibration,) if precision == "int8" else ()
            settings = EngineSettings(engine, precision, *how)
            found[f"{engine} {precision}"] = make_engine(settings, *parts)
    return found


def measure(functions, size):
    """`{name: (clock seconds an image, processor seconds an image)}`."""
    batch = BATCH.get(size, 1)
    pixels = tf.random.stateless_uniform([batch, size, size, 3], [1, 2], 0, 255)
    seconds = {name: [] for name in functions}
    for repeat in range(FLAGS.repeats + 1):
        for name, function in functions.items():
            started = time.perf_counter(), time.process_time()
            for vectors in function(pixels).values():
                np.asarray(vectors)
            ended = time.perf_counter(), time.process_time()
            if repeat:  # the first one is traced and warms up
                seconds[name].append([(b - a) / batch for a, b in zip(started, ended, strict=True)])
    return {name: list(map(statistics.median, zip(*s, strict=True))) for name, s in seconds.items()}


def row(size, name, found):
    """A line of the table."""
    clock, processor = found[name]
    peer = found.get(f"openvino {name.rpartition(' ')[2]}")
    ratios = [f"{processor / found[BARE][1]:.2f}", f"{processor / peer[1]:.2f}" if peer else "-"]
    return f"| {size} | {name} | {clock:.4f} | {processor:.4f} | " + " | ".join(ratios) + " |"


def main():
    functions = contenders(build_parts())
    print(f"{FLAGS.backbone}, {FLAGS.pooling}; {cpu_name()}; {versions()}")
    print("| size | what | s/image | CPU s/image | to the bare backbone | to openvino |")
    print("| ---: | --- |" + " ---: |" * 4)
    for size in map(int, FLAGS.sizes):
        found = measure(functions, size)
        for name in functions:
            print(row(size, name, found), flush=True)


def versions():
    """Of what is compared, in words."""
    names = ["tensorflow", "keras", "openvino"]
    installed = [name for name in names if importlib.util.find_spec(name)]
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in installed)


if __name__ == "__main__":
    cli.run(main)
