"""GPR1200: 1200 classes of 10 images, every image a query; file names are the ground truth."""

import re

import numpy as np

from darac_tf.data.benchmarks.image_files import ImageFiles
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError

_NAME = re.compile(r"([0-9]{1,9})_.+", re.ASCII | re.DOTALL)


def load_gpr1200(data_dir):
    """Reads GPR1200 (Schall et al., MMM 2022): a `RetrievalSet` of the protocol "gpr1200".

    Every image `<class>_<name>.jpg` of the folder (there, in `images`, or in `jpg`) is a query; its
    positives are the other images of its class. Images are in the order of their class numbers,
    then of their names. `UserError` if there are no images, a name isn't of that form, or a class
    has one image only.
    """
    files = ImageFiles(data_dir)
    names, classes = gpr1200_names(files)
    images, rows = ImageList(files.find(names, str(data_dir)), upright=False), np.arange(len(names))
    positives = [
        np.flatnonzero((classes == label) & (rows != row)) for row, label in enumerate(classes)
    ]
    return RetrievalSet(
        name=PUBLISHED["gpr1200"].title,
        protocol=PUBLISHED["gpr1200"].protocol,
        database=images,
        queries=images,
        own_rows=rows,
        relevance={"positives": positives},
        notes=(f"Ground truth: file names; {len(np.unique(classes))} classes.",),
    )


def gpr1200_names(files):
    """The image names of `ImageFiles` in order, and the int64 class of each; errors as above."""
    labelled = []
    for name in files.all_names():
        match = _NAME.fullmatch(name)
        if not match:
            raise UserError(
                f"{files.paths[name]}: not named <class number>_<name>, as images of GPR1200 are; "
                "remove it"
            )
        labelled.append((int(match[1]), name))
    labelled.sort()
    classes = np.array([label for label, _ in labelled], np.int64)
    values, counts = np.unique(classes, return_counts=True)
    if counts.min() < 2:
        raise UserError(
            f"{files.data_dir}: class {values[np.argmin(counts)]} has one image only, and its "
            "query nothing to find: add the others"
        )
    return [name for _, name in labelled], classes
