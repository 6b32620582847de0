"""Prepares a training set for fast reading: validated, resized, in shards with an index.

    darac prepare --dataset=gldv2_clean --data_dir=gldv2 --out=gldv2_prepared
    darac train --dataset=prepared --data_dir=gldv2_prepared --val_classes=100 --run_dir=runs/gl

Images that can't be read are dropped and listed in OUT/report.json. Interrupted, it goes on where
it stopped with the same command.
"""

from dataclasses import replace

from absl import flags

from darac_tf import cli
from darac_tf.choices import DATASET_KINDS
from darac_tf.errors import listing


def main(arguments):
    values = flags.FlagValues()
    _define(values)
    cli.parse_command(arguments, values, __doc__)
    cli.start_tensorflow()
    _prepare(values)


def _define(values):
    kinds = cli.KindParser([kind for kind in DATASET_KINDS if kind != "prepared"])
    flags.DEFINE(kinds, "dataset", "folder", "Kind of data set.", values)
    flags.DEFINE_string(
        "data_dir", None, "Folder or CSV of the data set, or where TFDS has its.", values
    )
    flags.DEFINE_string("out", None, "Where to.", values, True)
    cli.define_orientation(values)
    flags.DEFINE_integer("size", 400, "Longest short side that images keep.", 1, None, values)
    flags.DEFINE_integer(
        "workers",
        None,
        "Images at a time; default: as many as there are cores.",
        None,
        None,
        values,
    )


def _prepare(values):
    from darac_tf.data import load_dataset
    from darac_tf.data.training_sets import TRAINING_SETS, prepare, read_for_preparation

    if values.dataset in TRAINING_SETS:
        images = read_for_preparation(values.dataset, values.data_dir)
    else:
        images = load_dataset(values.dataset, values.data_dir)
    images = replace(images, upright=values.orientation == "upright")
    report = prepare(images, values.out, values.size, values.workers)
    print(
        f"{values.out}: {report['kept']} of {report['images']} images of {report['classes']} "
        f"classes, {len(report['dropped'])} dropped (report.json)"
    )
    if report["dropped"]:
        print(listing([image["reason"] for image in report["dropped"]]))
