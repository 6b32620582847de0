"""Retrieval benchmarks with their ground truth, read from folders that a user has filled."""

from darac_tf.choices import BENCHMARKS
from darac_tf.data.benchmarks.gpr1200 import load_gpr1200
from darac_tf.data.benchmarks.holidays import check_orientation, load_holidays
from darac_tf.data.benchmarks.oxford import load_oxford
from darac_tf.errors import UserError

__all__ = ["load_benchmark"]

# To add a benchmark: a reader that gives a `RetrievalSet`, called below, its facts in
# `published.PUBLISHED`, its name in `choices.BENCHMARKS`, and its files in `data.check`.


def load_benchmark(kind, data_dir, crop_queries=True, orientation="stored", rotation_list=None):
    """Reads a benchmark, one of `BENCHMARKS`, as a `data.retrieval_set.RetrievalSet`.

    Args:
        data_dir: Folder with its images and ground truth; see the readers.
        crop_queries: Look at the boxes of queries only. Benchmarks without boxes are not affected.
        orientation, rotation_list: For Holidays, see `holidays.load_holidays`.

    `UserError` if the kind is unknown, options don't fit it, or the data can't be read.
    """
    if kind not in BENCHMARKS:
        raise UserError(f"--dataset={kind}: choose from {', '.join(BENCHMARKS)}")
    if not data_dir:
        raise UserError(f"--dataset={kind} needs --data_dir")
    check_orientation(orientation, rotation_list)
    if kind == "holidays":
        return load_holidays(data_dir, orientation, rotation_list)
    if orientation != "stored":
        raise UserError(f"--orientation={orientation} is for --dataset=holidays, not {kind}")
    return (
        load_gpr1200(data_dir) if kind == "gpr1200" else load_oxford(kind, data_dir, crop_queries)
    )
