"""Exports a descriptor as a version for TensorFlow Serving, from image bytes to vectors.

    python export_savedmodel.py --model=runs/photos --resolutions=299,540,1020 \
        --whitening=runs/photos/eval/04-photos-299-540-1020-whitened.npz --out=export/photos

writes export/photos/1/, and the next time export/photos/2/. Any TensorFlow loads it, without this
project. Signatures: serving_default, robust, pixels; docs/export.md says what each does.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.data.images import ORIENTATIONS
from darac_tf.describing.combination import COMBINATIONS
from darac_tf.describing.sizes import parse_sizes
from darac_tf.export import DEFAULT_MAX_PIXELS, PRECISIONS, ExportSettings, publish
from darac_tf.export.model_card import CardFacts
from darac_tf.export.verification import images_to_verify
from darac_tf.models import load_descriptor
from darac_tf.whitening import load_whitening

FLAGS = flags.FLAGS

flags.DEFINE_string("model", None, "Run directory, or .keras descriptor.", required=True)
flags.DEFINE_string("out", None, "Folder of the versions.", required=True)
flags.DEFINE_integer("version", None, "Number; the next free one by default.", lower_bound=1)
flags.DEFINE_string("name", None, "Name on the model card; that of --out by default.")
flags.DEFINE_string("resolutions", "299", "Long sides or factors: 299,540,1020 or 0.25..1.")
flags.DEFINE_enum("combination", "sum", list(COMBINATIONS), "How resolutions are combined.")
flags.DEFINE_float("exponent", None, "Of the generalised mean.", lower_bound=1)
flags.DEFINE_string("whitening", None, "A .npz of eval.py, fitted at the same resolutions.")
flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "What weights are stored in.")
flags.DEFINE_integer(
    "max_pixels",
    DEFAULT_MAX_PIXELS,
    "Images of more pixels are refused, from their header; the default is eval.py's limit.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "orientation", "upright", ORIENTATIONS, "Turn images upright by their Exif orientation, or not."
)
flags.DEFINE_string("verify", None, "Folder or CSV of images to compare with the source on.")
flags.DEFINE_integer("verify_images", 100, "How many of them at most.", lower_bound=1)
flags.DEFINE_float(
    "verify_threshold",
    None,
    "Smallest cosine; below it nothing is written. Default: 0.99999, 0.999 with float16, 0.98 with "
    "bfloat16.",
)
flags.DEFINE_string("report", None, "report.json of eval.py, for the scores on the model card.")


def main():
    settings = ExportSettings(
        parse_sizes(FLAGS.resolutions),
        load_whitening(FLAGS.whitening) if FLAGS.whitening else None,
        FLAGS.combination,
        FLAGS.exponent,
        FLAGS.precision,
        FLAGS.max_pixels,
        FLAGS.orientation,
    )
    facts = CardFacts(
        FLAGS.name or Path(FLAGS.out).absolute().name,
        FLAGS.model,
        FLAGS.whitening,
        FLAGS.report,
        shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    paths = images_to_verify(FLAGS.verify, FLAGS.verify_images) if FLAGS.verify else ()
    model = load_descriptor(FLAGS.model)
    published = publish(
        model, FLAGS.out, settings, facts, FLAGS.version, paths, FLAGS.verify_threshold
    )
    if published.verification:
        print(f"compared with {FLAGS.model}: {published.verification}")
    print(
        f"{published.folder}: {published.dimension} dimensions at {FLAGS.resolutions}, "
        f"{FLAGS.precision}"
    )


if __name__ == "__main__":
    cli.run(main)
