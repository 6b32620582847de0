"""Approximate search with faiss, for databases where an exact search takes too long."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.memory import release
from darac_tf.rows import check_dimensions, finite_rows

_BLOCK_ROWS = 16384
# faiss asks for 39 training vectors a centroid at least, and uses 256 at most.
_TRAINING_ROWS = 256 * 1024


def approximate_search(queries, database, top_k, index="HNSW32"):
    """Ranks the database for each query by dot product, with an index that may miss rows.

    Faiss (Johnson, Douze and Jégou, IEEE Big Data 2021; HNSW: Malkov and Yashunin, PAMI 2020)
    has many kinds of index, described by a text: `HNSW32` (a graph), `IVF1024,Flat` (clusters),
    `IVF1024,PQ64` (clusters, compressed rows), `Flat` (exact). Report the share of the exact
    ranks that it found: `recall_against_exact`. The index lies in memory, with a copy of the rows
    unless they are compressed. A kind that has to be trained is trained on the database, on a
    sample of it where it is large.

    Args:
        queries: `(Q, D)` float descriptors.
        database: `(N, D)` float descriptors, array or memmap.
        top_k: Ranks to return, at least 1; more than there are rows gives all.
        index: Text for `faiss.index_factory`.

    Returns:
        Tuple of `(Q, k)` int64 database rows, best first, and `(Q, k)` float32 scores. Where the
        index found fewer than k, the places at the end hold row -1 and score -inf.

    Raises:
        UserError: If faiss is not installed, it does not know the index, the database is too small
            for it or empty, or descriptors hold NaN or infinity or differ in their dimension.
    """
    faiss = load_faiss()
    if np.ndim(queries) != 2 or len(database.shape) != 2 or top_k < 1:
        received = f"{np.shape(queries)}, {database.shape} and {top_k}"
        raise ValueError(f"queries, database (rows, dim) and top_k are wrong. Received: {received}")
    check_dimensions(queries, database)
    if not len(database):
        raise UserError("the database holds no image to rank: add images")
    queries = finite_rows(queries, "query descriptors").astype(np.float32)
    built = build_index(faiss, database, index)
    k = int(min(top_k, database.shape[0]))  # faiss refuses NumPy integers
    scores, rows = built.search(queries, k)
    # faiss fills places that it has no row for with the smallest float.
    return rows, np.where(rows < 0, np.float32(-np.inf), scores)


def recall_against_exact(approx_rows, exact_rows):
    """Share of the exact first k rows that an approximate search found among its first k: float.

    `recall = mean_q |approx_q ∩ exact_q| / k`, in [0, 1]. The order within the k does not count.

    >>> recall_against_exact([[4, 2, 9]], [[2, 4, 7]])
    0.6666666666666666

    Both are `(Q, k)` rows, -1 for none found; those from `search` differ within a query.
    `ValueError` if the shapes differ or are empty.
    """
    approx_rows, exact_rows = np.asarray(approx_rows), np.asarray(exact_rows)
    if approx_rows.shape != exact_rows.shape or exact_rows.ndim != 2 or not exact_rows.size:
        raise ValueError(
            f"Both need the same shape (Q, k). Received: {approx_rows.shape}, {exact_rows.shape}"
        )
    found = [np.isin(*both).mean() for both in zip(exact_rows, approx_rows, strict=True)]
    return float(np.mean(found))


def load_faiss():
    """The module `faiss`; UserError if it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise UserError("approximate search needs faiss: pip install faiss-cpu") from error
    return faiss


def build_index(faiss, database, text):
    """An index of all rows of a database, of the kind `text`; arguments and errors as above."""
    n_rows, dim = database.shape
    try:
        built = faiss.index_factory(dim, text, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise UserError(
            f"faiss can't make an index {text!r} of {dim} dimensions: see its index_factory for "
            "the kinds there are, such as HNSW32 or IVF1024,Flat"
        ) from error
    if not built.is_trained:
        _train(built, database, text)
    for start in range(0, n_rows, _BLOCK_ROWS):
        block = database[start : start + _BLOCK_ROWS]
        built.add(finite_rows(block, "database descriptors", start).astype(np.float32))
        release(database, start, start + _BLOCK_ROWS)
    return built


def _train(built, database, text):
    n_rows = database.shape[0]
    # Evenly spread, so that a database sorted by place or class is seen as a whole.
    chosen = np.unique(np.linspace(0, n_rows - 1, min(n_rows, _TRAINING_ROWS)).astype(np.int64))
    sample = np.asarray(database[chosen], np.float32)
    for bad in chosen[~np.isfinite(sample).all(axis=1)][:1]:
        finite_rows(database[bad : bad + 1], "database descriptors", bad)
    try:
        built.train(sample)
    except RuntimeError as error:
        raise UserError(
            f"{n_rows} images are too few to train the faiss index {text!r}: use fewer "
            "clusters, or HNSW32, which needs no training"
        ) from error
