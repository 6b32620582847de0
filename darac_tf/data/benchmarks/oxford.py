"""Oxford5k and Paris6k with their original ground truth, and ROxford5k and RParis6k with theirs."""

from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.ground_truth import damaged, parse_ground_truth
from darac_tf.data.benchmarks.image_files import ImageFiles
from darac_tf.data.benchmarks.mat import load_ground_truth_mat
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.benchmarks.text_lists import find_text_lists, load_text_lists
from darac_tf.data.benchmarks.unpickle import load_ground_truth_pickle
from darac_tf.data.images import stored_size
from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError
from darac_tf.metrics import PROTOCOLS

ORIGINAL = ("oxford5k", "paris6k")
# Published boxes may touch the border from outside by the rounding of their annotation.
OVERHANG = 1.0


def load_oxford(kind, data_dir, crop_queries=True):
    """Reads Oxford5k, Paris6k, or their revisited forms (Radenovic et al., CVPR 2018).

    Originally, positives are the good and the ok images together, and the query images are in the
    database. In the revisited forms they are not, and a query may have no easy or no hard image.

    Args:
        kind: `"oxford5k"`, `"paris6k"`, `"roxford5k"` or `"rparis6k"`.
        data_dir: Folder with the ground truth (`gnd_<kind>.pkl`, else `gnd_<kind>.mat`, else, of
            the original, the text files, there or in `gt`) and the images (there, in `jpg`, or in
            `images`; for Paris also a folder per landmark in one of them).
        crop_queries: Look at the box of each query only, as published.

    Returns:
        `RetrievalSet` of the protocol "oxford" or "revisited".

    Raises:
        UserError: If there is no ground truth, it is damaged, an image of it is missing, or a box
            doesn't lie in its image.
    """
    files = image_files(kind, data_dir)
    truth, original = read_ground_truth(kind, files), kind in ORIGINAL
    relevance = truth.lists
    if original:
        relevance = {"positives": relevance["ok"], "junk": relevance["junk"]}
    database = ImageList(files.find(truth.names, truth.source), upright=False)
    query_paths = files.find(truth.query_names, truth.source)
    boxes = boxes_inside(truth.boxes, query_paths, truth.source) if crop_queries else None
    return RetrievalSet(
        name=PUBLISHED[kind].title,
        protocol=PUBLISHED[kind].protocol,
        database=database,
        queries=ImageList(query_paths, boxes, upright=False),
        own_rows=truth.query_rows if original else None,
        relevance=relevance,
        notes=_notes(kind, truth.source, crop_queries),
    )


def read_ground_truth(kind, files):
    """The `GroundTruth` of `ImageFiles`, ok and junk or easy, hard and junk; errors as above."""
    raw, source = _stored(kind, files)
    lists = ("ok", "junk") if kind in ORIGINAL else PROTOCOLS[PUBLISHED[kind].protocol].lists
    truth = parse_ground_truth(raw, source, lists)
    for problem in _problems(kind, truth):
        raise damaged(source, problem)
    return truth


def _problems(kind, truth):
    """What is wrong with the queries."""
    title = PUBLISHED[kind].title
    for i, (query, row) in enumerate(zip(truth.query_names, truth.query_rows, strict=True)):
        if kind not in ORIGINAL:
            if row >= 0:
                where = f"image {row} of the database, which {title} keeps it out of"
                yield f"the query image {query} is {where}"
            continue
        ok, junk = truth.lists["ok"][i], truth.lists["junk"][i]
        for image in np.intersect1d(ok, junk):
            yield f"query {query} lists {truth.names[image]} as right and as junk"
        if not len(ok):
            yield f"query {query} has no right image"
        if row < 0:
            yield f"the query image {query} is not in the image list, as it is in {title}"


def _stored(kind, files):
    """What the ground truth of the data folder holds, in the form of the pickles; its path."""
    pickle, mat = (files.data_dir / f"gnd_{kind}{ending}" for ending in (".pkl", ".mat"))
    if pickle.is_file():
        return load_ground_truth_pickle(pickle), str(pickle)
    if mat.is_file():
        return load_ground_truth_mat(mat), str(mat)
    folder = find_text_lists(files.data_dir) if kind in ORIGINAL else None
    if folder:
        return load_text_lists(folder, files.all_names()), str(folder)
    text = ", nor *_query.txt there or in gt/" if kind in ORIGINAL else ""
    raise UserError(
        f"--data_dir: no ground truth in {files.data_dir}: neither {pickle.name} nor {mat.name}"
        f"{text}; run with --check_data to see where to get it"
    )


def _notes(kind, source, crop_queries):
    queries = "Queries are cropped to their boxes, as published."
    if not crop_queries:
        queries = "Queries are NOT cropped to their boxes: not the published protocol."
    notes = (f"Ground truth: {Path(source).name}.", queries)
    # The standard files have left these out already.
    if kind == "paris6k" and Path(source).is_dir():
        notes += ("The 20 files of the archives that are known to be broken are left out.",)
    return notes


def image_files(kind, data_dir):
    """The images in the data folder; those of Paris may lie in a folder per landmark."""
    return ImageFiles(data_dir, nested=kind in ("paris6k", "rparis6k"))


def boxes_inside(boxes, paths, source):
    """Query boxes, float64 `(Q, 4)`, without what hangs over the border of their image files.

    Raises:
        UserError: If a box covers less than a pixel in either direction, or hangs over the border
            by more than a pixel, or the image can't be read; the message names the query, and
            `source`, where the boxes are from.
    """
    clipped = np.array(boxes, np.float64)
    for box, path in zip(clipped, paths, strict=True):
        height, width = stored_size(path)
        inside = np.clip(box, 0, [width, height, width, height])
        numbers = " ".join(f"{value:g}" for value in box)
        what = f"the box of query {Path(path).stem} ({numbers})"
        if np.any(np.abs(inside - box) > OVERHANG):
            raise UserError(
                f"{source}: {what} reaches beyond its image of {width} x {height} pixels; fetch "
                "the image and the ground truth again"
            )
        if np.any(inside[2:] - inside[:2] < 1):
            raise damaged(source, f"{what} is empty")
        box[:] = inside
    return clipped
