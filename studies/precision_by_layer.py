"""What each block of a backbone loses in bfloat16, and what it costs to keep it in float32.

    python -m studies.precision_by_layer --data_dir=images --backbone=EfficientNetLite2 \
        --out=runs/precision

A block is a run of convolutions whose names begin alike, with what follows each. Every one is
measured alone in bfloat16, the others in float32, and alone in float32, the others in bfloat16:
1 - cosine to the descriptors of float32, mAP less theirs on each set of `joint_sets`, and the least
time of a batch against float32's. --prefixes measures the first blocks together in float32, one
more each time. Prints a table; --out gets precision_by_layer.md.
"""

import statistics
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

from benchmarks.measuring import seconds_of
from darac_tf import cli
from darac_tf.data.pipeline import sized_batches
from darac_tf.data.views import read_views
from darac_tf.describing.sizes import as_size
from darac_tf.engines.inference_copy import fused_copy
from darac_tf.engines.tensorflow_engine import FunctionEngine
from darac_tf.files import atomic_path
from darac_tf.models import build_backbone
from darac_tf.models.descriptor import make_pooling, share_backbone
from darac_tf.processor import has_bfloat16
from darac_tf.reports import markdown
from studies.backbone_blocks import blocks_of, copies
from studies.joint_scores import average_precisions
from studies.joint_sets import TESTS, read_tests

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of the sets of `joint_sets`.", required=True)
flags.DEFINE_multi_enum(
    "set", ["sf_landmarks", "buildings", "multiview"], list(TESTS), "Set that is measured."
)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_list("poolings", ["ramac", "gem", "spoc"], "Poolings; mAP is their mean.")
flags.DEFINE_integer("size", 299, "Long side of the images.", lower_bound=32)
flags.DEFINE_integer("timings", 10, "Of each copy; the least counts.", lower_bound=1)
flags.DEFINE_integer("prefixes", 8, "First blocks that are measured together.", lower_bound=0)
flags.DEFINE_bool("alone", True, "Measure each block alone, too.")
flags.DEFINE_string("out", None, "Folder of the table.")

_TIMED_BATCH = 8


class Network:
    """Copies of a backbone with some layers in float32 and the others in bfloat16."""

    def __init__(self, backbone, weights, poolings):
        network, self._preprocessing = build_backbone(backbone, weights)
        self.model = keras.Model(network.inputs[0], network.outputs[0])
        self._poolings = {name: make_pooling(name) for name in poolings}
        for pooling in self._poolings.values():
            pooling.build((None, None, None, network.output_shape[-1]))

    def engine(self, exact):
        """A function of pixels to descriptors by name, `exact` the layers in float32."""
        copy, _ = fused_copy(self.model, "bfloat16", exact)
        return FunctionEngine(share_backbone(copy, self._preprocessing, self._poolings))


class Images:
    """All images of the tasks, decoded and resized once."""

    def __init__(self, tasks, size):
        self._tasks, self._batches = tasks, {}
        for name, task in tasks.items():
            views, _ = read_views(task.images, False, False)
            batches = sized_batches(views, np.arange(len(task.images)), [as_size(size)], 10**6)
            self._batches[name] = [(batch.places, batch.pixels[0].numpy()) for batch in batches]

    def described(self, engine):
        """Dictionary of `(set, pooling)` to `(images, channels)`."""
        found = {}
        for name, batches in self._batches.items():
            for places, pixels in batches:
                for pooling, vectors in engine(tf.constant(pixels)).items():
                    shape = len(self._tasks[name].images), vectors.shape[1]
                    rows = found.setdefault((name, pooling), np.zeros(shape, np.float32))
                    rows[places] = vectors
        return found

    def scores(self, described):
        """Dictionary of set to mAP, in points, the mean over poolings."""
        found = {}
        for (name, _), vectors in described.items():
            ap = average_precisions(vectors, self._tasks[name])
            found.setdefault(name, []).append(100 * np.nanmean(ap))
        return {name: statistics.mean(values) for name, values in found.items()}


def least_seconds(engine):
    """Of a batch."""
    shape = _TIMED_BATCH, FLAGS.size, FLAGS.size, 3
    pixels = tf.random.stateless_uniform(shape, [1, 2], 0, 255)

    def call():
        return [vectors.numpy() for vectors in engine(pixels).values()]

    return min(seconds_of(call, FLAGS.timings))


def main():
    if not has_bfloat16():
        print("this processor computes bfloat16 in software: the times are of that")
    images = Images(read_tests(FLAGS.data_dir, FLAGS.set), FLAGS.size)
    network = Network(FLAGS.backbone, FLAGS.backbone_weights, FLAGS.poolings)
    measured = list(copies(blocks_of(network.model), FLAGS.prefixes, FLAGS.alone))
    rows, exact = [], None
    for name, layers in tqdm(measured, unit="copy"):
        engine = network.engine(layers)
        described, seconds = images.described(engine), least_seconds(engine)
        scores = images.scores(described)
        exact = exact or (described, scores, seconds)  # The first copy is all in float32.
        vectors, its_scores, its_seconds = exact
        # Of unit vectors, with digits for small ones.
        errors = [np.square(own - vectors[key]).sum(axis=1) / 2 for key, own in described.items()]
        changes = [f"{scores[key] - its_scores[key]:+.2f}" for key in FLAGS.set]
        error = f"{1e4 * np.concatenate(errors).mean():.2f}"
        rows.append([name, error, *changes, f"{seconds / its_seconds:.3f}"])
        tqdm.write(" | ".join(rows[-1]))
    header = ["copy", "1 - cosine, 1e-4", *FLAGS.set, "time to float32"]
    page = markdown.table(header, rows, [False] + [True] * (len(header) - 1))
    print(page)
    if FLAGS.out:
        with atomic_path(Path(FLAGS.out) / "precision_by_layer.md") as path:
            path.write_text(page + "\n", encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
