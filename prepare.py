"""Prepares a training set for fast reading: validated, resized, in shards with an index.

    python prepare.py --dataset=gldv2_clean --data_dir=gldv2 --out=gldv2_prepared
    python train.py --dataset=prepared --data_dir=gldv2_prepared --val_classes=100 --run_dir=runs/gl

Images that can't be read are dropped and listed in OUT/report.json. Interrupted, it goes on where
it stopped with the same command.
"""

from dataclasses import replace

from absl import flags

from darac_tf import cli
from darac_tf.data import DATASET_KINDS, load_dataset
from darac_tf.data.images import ORIENTATIONS
from darac_tf.data.training_sets import TRAINING_SETS, prepare, read_for_preparation

FLAGS = flags.FLAGS
flags.DEFINE(
    cli.KindParser([kind for kind in DATASET_KINDS if kind != "prepared"]),
    "dataset",
    "folder",
    "Kind of data set.",
)
flags.DEFINE_string("data_dir", None, "Folder or CSV of the data set, or where TFDS has its.")
flags.DEFINE_string("out", None, "Where to.", required=True)
flags.DEFINE_enum(
    "orientation", "upright", ORIENTATIONS, "Turn images upright by their Exif orientation, or not."
)
flags.DEFINE_integer("size", 400, "Longest short side that images keep.", lower_bound=1)
flags.DEFINE_integer("workers", None, "Images at a time; default: as many as there are cores.")


def main():
    if FLAGS.dataset in TRAINING_SETS:
        images = read_for_preparation(FLAGS.dataset, FLAGS.data_dir)
    else:
        images = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    images = replace(images, upright=FLAGS.orientation == "upright")
    report = prepare(images, FLAGS.out, FLAGS.size, FLAGS.workers)
    print(
        f"{FLAGS.out}: {report['kept']} of {report['images']} images of {report['classes']} "
        f"classes, {len(report['dropped'])} dropped (report.json)"
    )


if __name__ == "__main__":
    cli.run(main)
