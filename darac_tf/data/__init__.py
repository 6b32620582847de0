"""Image collections and the input pipelines over them."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from darac_tf.choices import DATASET_KINDS, DATASETS, DEFAULT_MAX_PIXELS
from darac_tf.data import tfds_sets
from darac_tf.data.benchmarks import load_benchmark
from darac_tf.data.check import check_data
from darac_tf.data.demo.landmarks import generate_landmarks
from darac_tf.data.labelled import LabelledImages, read_csv, read_folder
from darac_tf.data.training_sets import TRAINING_SETS, load_training_set, read_prepared
from darac_tf.errors import UserError

__all__ = [
    "LabelledImages",
    "check_data",
    "load_benchmark",
    "load_dataset",
    "needs_data_dir",
]


def _demo(folder):
    return read_folder(generate_landmarks(folder or Path("runs") / "landmarks"))


# To add a data set: write a reader that takes `--data_dir` and gives `LabelledImages`, and name it
# here and in `choices.DATASETS`.
READERS = {
    "folder": read_folder,
    "csv": read_csv,
    "demo": _demo,
    "prepared": read_prepared,
    **{kind: partial(load_training_set, kind) for kind in TRAINING_SETS},
}


def load_dataset(
    kind, data_dir=None, split=None, orientation="upright", max_pixels=DEFAULT_MAX_PIXELS
):
    """Reads a labelled collection.

    Args:
        kind: One of `choices.DATASETS`: `"folder"` (a folder per class), `"csv"`
            (`path,label[,split]`), `"demo"` (drawn landmarks, written to `data_dir` once),
            `"prepared"` (records of prepare.py), or one of `training_sets.TRAINING_SETS`; or
            `"tfds:NAME[/CONFIG][:SPLIT]"` of TensorFlow Datasets.
        data_dir: Where it is.
        split: Only this split of a CSV, or of a set that has splits.
        orientation: `"upright"` turns images as their Exif orientation says, `"stored"` doesn't.
        max_pixels: Images of more are refused.

    Raises:
        UserError: If the kind is unknown, the data cannot be read, or was prepared otherwise.
    """
    if kind.startswith(tfds_sets.PREFIX):
        images = tfds_sets.read_tfds(kind.removeprefix(tfds_sets.PREFIX), data_dir)
    elif kind not in DATASETS:
        raise UserError(f"--dataset={kind}: choose from {', '.join(DATASET_KINDS)}")
    elif not data_dir and needs_data_dir(kind):
        raise UserError(f"--dataset={kind} needs --data_dir")
    else:
        images = READERS[kind](data_dir)
    if kind == "prepared":
        images.check_orientation(orientation)
    else:
        images = replace(images, upright=orientation == "upright", max_pixels=max_pixels)
    return images.split(split) if split else images


def needs_data_dir(kind):
    """Whether a kind of data set has no place of its own."""
    return kind != "demo" and not kind.startswith(tfds_sets.PREFIX)
