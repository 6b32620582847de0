"""The training sets of the papers: lists of images, and preparation for fast reading."""

from pathlib import Path

from darac_tf.data.labelled import LabelledImages
from darac_tf.data.tfds_sets import open_builder, read_splits
from darac_tf.data.training_sets.lists import read_listing
from darac_tf.data.training_sets.preparation import prepare
from darac_tf.data.training_sets.prepared import PreparedImages, read_prepared
from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.errors import UserError

__all__ = [
    "TRAINING_SETS",
    "PreparedImages",
    "load_training_set",
    "prepare",
    "read_for_preparation",
    "read_prepared",
]


def load_training_set(kind, data_dir):
    """Reads a training set whose images are in a folder, as `LabelledImages`.

    The `kind` is a key of `TRAINING_SETS`, and the folder filled as its `sources` say; nothing is
    downloaded. Of the cleaned Landmarks, images without a file are left out and their number is
    logged. `UserError` if the kind is unknown, lists are missing or damaged, or images are missing.
    """
    listing = _listing(kind, data_dir)
    return listing.those_there() if listing else _class_halves(kind, data_dir)


def read_for_preparation(kind, data_dir):
    """As `load_training_set`, with images that have no file: `prepare` drops and reports them."""
    listing = _listing(kind, data_dir)
    return listing.images() if listing else _class_halves(kind, data_dir)


def _listing(kind, data_dir):
    """As `read_listing`, after a check of the kind and the folder."""
    if kind not in TRAINING_SETS:
        raise UserError(f"--dataset={kind}: choose from {', '.join(TRAINING_SETS)}")
    if not data_dir:
        raise UserError(f"--dataset={kind} needs --data_dir")
    if not Path(data_dir).is_dir():
        raise UserError(f"--data_dir: no such folder: {data_dir}")
    return read_listing(kind, data_dir)


def _class_halves(kind, data_dir):
    """CUB-200-2011 or Cars196 of TensorFlow Datasets, in the splits of metric learning.

    `train` is the first half of the classes in the published order, `test` the second, so that they
    share none (Song et al., CVPR 2016); the set's own splits, which share all classes, are put
    together. Classes are named by their numbers from 001 on.
    """
    builder = open_builder(TRAINING_SETS[kind].tfds_name, data_dir, download=False)
    feature, rows = builder.info.features["label"], []
    for path, name, _ in read_splits(builder, ("train", "test")).rows():
        number = feature.str2int(name)
        split = "train" if number < feature.num_classes // 2 else "test"
        rows.append((path, f"{number + 1:03d}", split))
    return LabelledImages.from_rows(kind, rows)
