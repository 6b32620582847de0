"""Measures OpenVINO's engine quantised to int8 after training: speed, vectors, mAP.

    pip install -r requirements-bench.txt
    python -m benchmarks.int8 --calibration=objects --data_dir=photos.csv --backbone=mine.keras

Calibrates on images of --calibration, which must not be those that are measured. Prints a Markdown
table for --resolutions: mAP (plain, leave-one-out), cosine to the float32 vectors, and processor
seconds of the whole description as a ratio to float32.
"""

import time
from pathlib import Path

import numpy as np
from absl import flags

from darac_tf import cli
from darac_tf.data import load_dataset
from darac_tf.data.images import decode_image, images_below, resize_long_side
from darac_tf.describing.combination import Vectors
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.sizes import parse_sizes
from darac_tf.engines.openvino_engine import OpenVINOEngine
from darac_tf.errors import UserError
from darac_tf.evaluation.task import labelled_task
from darac_tf.models import Preprocessing, build_backbone
from darac_tf.models.descriptor import make_pooling
from darac_tf.ranking.rank import RankingSettings, rank

FLAGS = flags.FLAGS
flags.DEFINE_string("calibration", None, "Folder of images to calibrate on.", required=True)
flags.DEFINE_integer("calibration_images", 100, "How many of them.", lower_bound=1)
flags.DEFINE_string("data_dir", None, "CSV or folder of the labelled images.", required=True)
flags.DEFINE_enum("dataset", "csv", ["csv", "folder"], "Kind of data set.")
flags.DEFINE_string("backbone", None, "keras.applications name or .keras file.", required=True)
flags.DEFINE_string("backbone_weights", None, "Of a keras.applications name.")
flags.DEFINE_list("poolings", ["ramac", "gem", "spoc"], "Poolings.")
flags.DEFINE_string("resolutions", "299", "Sizes that are combined.")


class Int8Engine(OpenVINOEngine):
    """The engine with its convolutions quantised."""

    def _prepared(self, model):
        try:
            import nncf
        except ImportError as error:
            raise UserError("int8 needs: pip install nncf") from error
        images = calibration_images()
        return nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))


def calibration_images():
    """List of `(1, height, width, 3)`, evenly chosen."""
    files = images_below(FLAGS.calibration)
    if not files:
        raise UserError(f"--calibration={FLAGS.calibration}: holds no images")
    chosen = files[:: max(len(files) // FLAGS.calibration_images, 1)][: FLAGS.calibration_images]
    sized = (resize_long_side(decode_image(Path(path).read_bytes()), 299) for path in chosen)
    return [np.asarray(image)[np.newaxis] for image in sized]


def described(engine, task, sizes):
    """`({name: vectors}, processor seconds)`."""
    # The first compiles what is left to compile.
    extract_features(engine, task.images, [32], progress=False)
    started = time.process_time()
    features = extract_features(engine, task.images, sizes, progress=False)
    seconds = time.process_time() - started
    return {name: np.asarray(features.vectors(name)) for name in features[sizes[0]]}, seconds


def main():
    task = labelled_task(load_dataset(FLAGS.dataset, FLAGS.data_dir))
    sizes = parse_sizes(FLAGS.resolutions)
    network, mode = build_backbone(FLAGS.backbone, FLAGS.backbone_weights)
    poolings = {name: make_pooling(name) for name in FLAGS.poolings}
    for layer in poolings.values():
        layer.build((None, None, None, network.output_shape[-1]))
    parts = network, Preprocessing(mode), poolings
    print(f"{FLAGS.resolutions}; calibrated on {FLAGS.calibration_images} images")
    print("| precision | pooling | mAP | cosine, mean | cosine, least | CPU time |")
    print("| --- | --- |" + " ---: |" * 4)
    exact = None
    for precision in ("float32", "bfloat16", "int8"):
        is_int8 = precision == "int8"
        engine = Int8Engine(*parts) if is_int8 else OpenVINOEngine(*parts, precision)
        vectors, seconds = described(engine, task, sizes)
        exact = exact or (vectors, seconds)
        for name, own in vectors.items():
            rankings = rank(Vectors([own]), task, RankingSettings(), np.ones(len(own), bool))
            score = 100 * task.score(rankings.rows).means["mAP (plain)"]
            cosine = (own * exact[0][name]).sum(axis=1)
            figures = f"{score:.2f} | {cosine.mean():.4f} | {cosine.min():.4f}"
            print(f"| {precision} | {name} | {figures} | {seconds / exact[1]:.2f} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
