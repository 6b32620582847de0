"""Image collections and the input pipelines over them."""

from functools import partial
from pathlib import Path

from darac_tf.data.benchmarks import BENCHMARKS, load_benchmark
from darac_tf.data.demo.landmarks import generate_landmarks
from darac_tf.data.labelled import LabelledImages, read_csv, read_folder
from darac_tf.data.training_sets import TRAINING_SETS, load_training_set, read_prepared
from darac_tf.errors import UserError

__all__ = ["BENCHMARKS", "DATASETS", "LabelledImages", "load_benchmark", "load_dataset"]


def _demo(folder):
    return read_folder(generate_landmarks(folder or Path("runs") / "landmarks"))


# To add a data set: write a reader that takes `--data_dir` and gives `LabelledImages`, and name it
# here.
DATASETS = {
    "folder": read_folder,
    "csv": read_csv,
    "demo": _demo,
    "prepared": read_prepared,
    **{kind: partial(load_training_set, kind) for kind in TRAINING_SETS},
}


def load_dataset(kind, data_dir=None, split=None):
    """Reads a labelled collection.

    Args:
        kind: A key of `DATASETS`: `"folder"` (a folder per class), `"csv"` (`path,label[,split]`),
            `"demo"` (drawn landmarks, written to `data_dir` once), `"prepared"` (records of
            prepare.py), or one of `training_sets.TRAINING_SETS`.
        data_dir: Where it is.
        split: Only this split of a CSV.

    Raises:
        UserError: If the kind is unknown or the data cannot be read.
    """
    if kind not in DATASETS:
        raise UserError(f"--dataset={kind}: choose from {', '.join(DATASETS)}")
    if not data_dir and kind != "demo":
        raise UserError(f"--dataset={kind} needs --data_dir")
    images = DATASETS[kind](data_dir)
    return images.split(split) if split else images
