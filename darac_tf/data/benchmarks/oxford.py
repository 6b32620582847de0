"""Oxford5k and Paris6k, with their original ground truth."""

from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.boxes import boxes_inside
from darac_tf.data.benchmarks.ground_truth import parse_ground_truth
from darac_tf.data.benchmarks.image_files import ImageFiles
from darac_tf.data.benchmarks.mat import load_ground_truth_mat
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.benchmarks.text_lists import find_text_lists, load_text_lists
from darac_tf.data.benchmarks.unpickle import load_ground_truth_pickle
from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError

KINDS = ("ok", "junk")


def load_oxford(kind, data_dir, crop_queries=True):
    """Reads Oxford5k or Paris6k.

    Positives are the good and the ok images together. The query images are in the database.

    Args:
        kind: `"oxford5k"` or `"paris6k"`.
        data_dir: Folder with the ground truth (`gnd_<kind>.pkl`, else `gnd_<kind>.mat`, else the
            text files, there or in `gt`) and the images (there, in `jpg`, or in `images`; for
            Paris also a folder per landmark in one of them).
        crop_queries: Look at the box of each query only, as published.

    Returns:
        `RetrievalSet` of the protocol "oxford".

    Raises:
        UserError: If there is no ground truth, it is damaged, an image of it is missing, or a box
            doesn't lie in its image.
    """
    files = image_files(kind, data_dir)
    truth = read_ground_truth(kind, files)
    database = ImageList(files.find(truth.names, truth.source))
    queries = query_images(files, truth, crop_queries)
    published = PUBLISHED[kind]
    return RetrievalSet(
        name=published.title,
        protocol=published.protocol,
        database=database,
        queries=queries,
        own_rows=truth.query_rows,
        relevance={"positives": truth.lists["ok"], "junk": truth.lists["junk"]},
        notes=notes(truth, crop_queries) + _left_out(kind, truth),
    )


def read_ground_truth(kind, files):
    """The `GroundTruth` in the data folder of Oxford5k or Paris6k, with the lists ok and junk.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    folder = find_text_lists(files.data_dir)
    raw, source = standard_file(kind, files.data_dir, required=folder is None)
    if raw is None:
        raw, source = load_text_lists(folder, files.all_names()), str(folder)
    truth = parse_ground_truth(raw, source, KINDS)
    for query, row, ok, junk in zip(
        truth.query_names, truth.query_rows, truth.lists["ok"], truth.lists["junk"], strict=True
    ):
        both = np.intersect1d(ok, junk)
        if len(both):
            raise UserError(
                f"{source}: query {query} lists {truth.names[both[0]]} as right and as junk; "
                "fetch the ground truth again"
            )
        if not len(ok):
            raise UserError(f"{source}: query {query} has no right image; fetch it again")
        if row < 0:
            raise UserError(
                f"{source}: the query image {query} is not in the image list, as it is in "
                f"{PUBLISHED[kind].title}; fetch the ground truth again"
            )
    return truth


def standard_file(kind, data_dir, required=True):
    """Reads `gnd_<kind>.pkl`, or else `gnd_<kind>.mat`.

    Returns:
        What it holds and its path; None and None if there is neither, and it isn't required.

    Raises:
        UserError: If it is required and not there, or can't be read.
    """
    pickle, mat = (Path(data_dir) / f"gnd_{kind}{ending}" for ending in (".pkl", ".mat"))
    if pickle.is_file():
        return load_ground_truth_pickle(pickle), str(pickle)
    if mat.is_file():
        return load_ground_truth_mat(mat), str(mat)
    if required:
        text = ", nor *_query.txt there or in gt/" if kind in ("oxford5k", "paris6k") else ""
        raise UserError(
            f"--data_dir: no ground truth in {data_dir}: neither {pickle.name} nor {mat.name}"
            f"{text}; run with --check_data to see where to get it"
        )
    return None, None


def _left_out(kind, truth):
    # The standard files have left these out already.
    if kind == "paris6k" and Path(truth.source).is_dir():
        return ("The 20 files of the archives that are known to be broken are left out.",)
    return ()


def image_files(kind, data_dir):
    """The images in the data folder; those of Paris may lie in a folder per landmark."""
    return ImageFiles(data_dir, nested=kind in ("paris6k", "rparis6k"))


def query_images(files, truth, crop_queries):
    """The query images, with their boxes if they are to be cropped."""
    paths = files.find(truth.query_names, truth.source)
    boxes = boxes_inside(truth.boxes, paths, truth.source) if crop_queries else None
    return ImageList(paths, boxes)


def notes(truth, crop_queries):
    """Sentences for the report: which ground truth, and whether queries are cropped."""
    cropping = (
        "Queries are cropped to their boxes, as published."
        if crop_queries
        else "Queries are NOT cropped to their boxes: not the published protocol."
    )
    return f"Ground truth: {Path(truth.source).name}.", cropping
