"""Finding the images of an index that are most like some image."""

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
class Result:
    """An image that was found."""

    rank: int  # From 1.
    similarity: float  # Cosine of the angle between its descriptor and the query's, in [-1, 1].
    path: str  # Its file.


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
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1. Received: {top_k}")
    vectors = _describe(model, queries)
    while True:
        keys, live = index.live()
        if not len(live):
            raise UserError(f"{index.folder} holds no image yet: index again")
        rankings = _rank(index, vectors, live, top_k, faiss_index)
        if not index.table.check(np.concatenate([rows for rows, _ in rankings])):
            return [_results(index, keys, live, *ranking, top_k) for ranking in rankings]


def _rank(index, vectors, live, top_k, faiss_index):
    """Rows and exact scores of what is most like each vector."""
    if faiss_index is None:
        places, scores = search(vectors, index.vectors(live), top_k)
        return list(zip(live[places], scores, strict=True))
    rankings = []
    for vector in vectors[:, None]:
        rows = candidates(index, faiss_index, vector, live, top_k)
        places, scores = search(vector, index.vectors(rows), top_k)
        rankings.append((rows[places[0]], scores[0]))
    return rankings


def _results(index, keys, live, rows, scores, top_k):
    results = []
    for row, score in zip(rows, scores, strict=True):
        key = keys[np.searchsorted(live, row)].tobytes()
        # A writer may have dropped some of them since the index was opened.
        for path in index.files.paths(key):
            similarity = float(np.clip(score, -1, 1))
            results.append(Result(len(results) + 1, similarity, os.fsdecode(path)))
    return results[:top_k]


def _describe(model, queries):
    """Vectors `(queries, dimension)`, one at a time: queries are few, and may be large."""
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
