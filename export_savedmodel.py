"""Exports a descriptor as one SavedModel, from image bytes to vectors.

    python export_savedmodel.py --model=runs/photos --resolutions=299,540,1020 \
        --whitening=runs/photos/eval/04-photos-299-540-1020-whitened.npz --out=runs/photos/export/1

Any TensorFlow loads it, without this project: signature serving_default, image_bytes (JPEG, PNG,
GIF or BMP, string [batch]) to descriptor (float32 [batch, dimension]).
"""

from absl import flags

from darac_tf import cli
from darac_tf.evaluation.combine import COMBINATIONS
from darac_tf.evaluation.sizes import parse_sizes
from darac_tf.evaluation.whitening import load_whitening
from darac_tf.export import export_saved_model
from darac_tf.models import load_descriptor

FLAGS = flags.FLAGS

flags.DEFINE_string("model", None, "Run directory, or .keras descriptor.", required=True)
flags.DEFINE_string("out", None, "Folder to write; it must not exist yet.", required=True)
flags.DEFINE_string("resolutions", "299", "Long sides or factors: 299,540,1020 or 0.25..1.")
flags.DEFINE_enum("combination", "sum", list(COMBINATIONS), "How resolutions are combined.")
flags.DEFINE_float("exponent", None, "Of the generalised mean.", lower_bound=1)
flags.DEFINE_string("whitening", None, "A .npz of eval.py, fitted at the same resolutions.")


def main():
    sizes = parse_sizes(FLAGS.resolutions)
    whitening = load_whitening(FLAGS.whitening) if FLAGS.whitening else None
    model = load_descriptor(FLAGS.model)
    dimension = export_saved_model(
        model, FLAGS.out, sizes, whitening, FLAGS.combination, FLAGS.exponent
    )
    print(f"{FLAGS.out}: {dimension} dimensions at {FLAGS.resolutions}")


if __name__ == "__main__":
    cli.run(main)
