"""Finding the images of an index that are most like some image."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.data.images import content_size, crop, decode_file, read_image
from darac_tf.data.views import ImageList, read_views
from darac_tf.errors import UserError
from darac_tf.ranking.exact_search import search
from darac_tf.search.faiss_index import candidates
from darac_tf.search.updates import MAX_FILE_BYTES

# `ExportedModel` gives vectors of a length of 1, within 1 %; a damaged one is found in the end.
_LONGEST = 1.02


@dataclass(frozen=True)
class Query:
    """An image to search with.

    Attributes:
        path: Its file.
        box: `xmin, ymin, xmax, ymax` in whole pixels of the image, upright where the model turns it
            so, to look at this part only; None for the whole.
    """

    path: str
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Found:
    """A content that was found, with all files of the index that hold it."""

    row: int  # Of its vector in the index's table.
    similarity: float  # See `Result`.
    paths: list[bytes]  # In order; none where a writer has dropped them since the index was opened.


@dataclass(frozen=True)
class Result:
    """An image that was found."""

    rank: int  # From 1.
    similarity: float  # Cosine of the angle between its descriptor and the query's, in [-1, 1].
    path: str  # Its file; in an index of parts its id in the manifest.


def find_similar(index, model, queries, top_k=20, faiss_index=None):
    """Searches an index.

    What was found is checked: a vector that was damaged on disk is not used.

    Args:
        index: `Index`.
        model: `ExportedModel` of the index.
        queries: Non-empty list of `Query`; they need not be in the index.
        top_k: Images to find for each, at least 1. Where the index has fewer, all are found.
        faiss_index: `faiss_index.FaissIndex` of this index, which may miss images; None compares
            with every image.

    Returns:
        List, for each query, of a list of `Result`, best first. Files of the same content stand
        together, in the order of their paths; other images of equal similarity in the order they
        were indexed.

    Raises:
        UserError: If a query can't be read, a box is empty or outside of its image, or the index
            holds no image.
        ValueError: If `top_k` is below 1.
    """
    return find_like(index, describe(model, queries), top_k, faiss_index)


def find_like(index, vectors, top_k=20, faiss_index=None):
    """As `find_similar`, for queries that `describe` has described."""
    found = rank(index, vectors, top_k, faiss_index)
    return [_results(ranking, top_k) for ranking in found]


def rank(index, vectors, top_k=20, faiss_index=None, folder=None):
    """Searches an `Index` with vectors, float32 `(queries, dimension)`.

    `top_k` and `faiss_index` are those of `find_similar`. With `folder`, bytes, only files below it
    are found, and all are compared.

    Returns:
        List, for each query, of a list of `Found`, best first, `top_k` at most.

    Raises:
        UserError: If the index holds no image, or none below the folder.
        ValueError: If `top_k` is below 1.
    """
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1. Received: {top_k}")
    while True:
        keys, live = index.live()
        if folder is not None:
            faiss_index, rows = None, index.table.find(index.files.keys(folder))
            is_below = np.isin(live, rows)
            keys, live = keys[is_below], live[is_below]
        if not len(live):
            where = index.folder if folder is None else os.fsdecode(folder)
            raise UserError(f"{where} holds no image yet: index again")
        rankings = _rank(index, vectors, live, top_k, faiss_index)
        if not index.table.check(np.concatenate([rows for rows, _ in rankings])):
            return [_found(index, keys, live, *ranking) for ranking in rankings]


def _rank(index, vectors, live, top_k, faiss_index):
    """Rows and exact scores of what is most like each vector."""
    if faiss_index is None:
        places, scores = search(vectors, index.vectors(live), top_k, longest=_LONGEST)
        return list(zip(live[places], scores, strict=True))
    rankings = []
    for vector in vectors[:, None]:
        rows = candidates(index, faiss_index, vector, live, top_k)
        places, scores = search(vector, index.vectors(rows), top_k)
        rankings.append((rows[places[0]], scores[0]))
    return rankings


def _found(index, keys, live, rows, scores):
    keys = keys[np.searchsorted(live, rows)]
    return [
        Found(int(row), float(np.clip(score, -1, 1)), index.files.paths(key.tobytes()))
        for row, score, key in zip(rows, scores, keys, strict=True)
    ]


def _results(ranking, top_k):
    files = ((found.similarity, os.fsdecode(path)) for found in ranking for path in found.paths)
    return [Result(rank, *file) for rank, file in enumerate(itertools.islice(files, top_k), 1)]


def results_of(scores, names):
    """A list of `Result` of scores, falling, and the paths or ids that they are of."""
    clipped = np.clip(scores, -1, 1).tolist()
    return [Result(rank, *each) for rank, each in enumerate(zip(clipped, names, strict=True), 1)]


def describe(model, queries):
    """Vectors of a list of `Query`, float32 `(queries, dimension)`; errors of `find_similar`.

    One at a time: queries are few, and may be large.
    """
    vectors = []
    for query in queries:
        vector, valid = model([_content(query, model.is_upright)])
        if not valid[0]:
            raise UserError(f"{query.path}: {model.no_image}; name another image")
        vectors.append(vector[0])
    return np.stack(vectors)


def _content(query, is_upright):
    path = Path(query.path)
    if query.box is not None:
        return _cut_out(path, query.box, is_upright)
    if content_size(path) > MAX_FILE_BYTES:
        raise UserError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MB: make it smaller")
    return read_image(path)


def _cut_out(path, box, is_upright):
    """The part of an image in a box, as the bytes of a PNG file."""
    views, _ = read_views(ImageList(np.array([path]), upright=is_upright))
    height, width = views.whole[0]
    xmin, ymin, xmax, ymax = box
    if not (0 <= xmin < xmax <= width and 0 <= ymin < ymax <= height):
        within = f"xmin,ymin,xmax,ymax within the {width} x {height} pixels of {path}"
        raise UserError(f"--box={','.join(map(str, box))}: it must be {within}")
    return tf.io.encode_png(crop(decode_file(path, is_upright), box)).numpy()
