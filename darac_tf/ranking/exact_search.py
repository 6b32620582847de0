"""Exact search by dot product, which is the cosine similarity for L2-normalised descriptors."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.memory import release
from darac_tf.ranking.candidates import find_candidates
from darac_tf.ranking.exact_scores import (
    LAST_KEY,
    exact_scores,
    norm_bounds,
    pair_scores,
    sort_keys,
    split_keys,
)
from darac_tf.rows import check_dimensions, finite_rows
from darac_tf.threads import THREADS, in_order

# Scoring a chosen row in float64 costs about as much as this many rows of a float32 product.
_COST_OF_CANDIDATE = 16
# Pairs of query and candidate that a thread scores at once.
_PAIRS = 128


def search(queries, database, top_k=None, block_rows=4096, exclude=None):
    """Ranks the database for each query by dot product.

    Equal scores keep the order of the database, at the border of the first k too. A score is the
    sum in float64, in a fixed order, rounded to float32: ranks depend on neither block size nor
    machine, and copies of one descriptor tie. Where k is small against the database, float32
    products find the rows that can be among the first k (`candidates.find_candidates`), and only
    these are scored in float64; queries with too many scores near the k-th, such as those of a
    collapsed model, are compared with all rows in float64.

    The database is read in blocks, so a `numpy.memmap` needs never fit in memory. Memory is
    `O(Q * (k + block_rows) + block_rows * D)`.

    Args:
        queries: `(Q, D)` float descriptors.
        database: `(N, D)` float descriptors, array or memmap, or what has a `shape` and is
            indexed by slices and integer arrays like them.
        top_k: Ranks to return, at least 1; more than there are gives all. None gives all.
        block_rows: Database rows that are compared at once.
        exclude: `(Q,)` database row to leave out for each query (leave-one-out), or None.

    Returns:
        Tuple of `(Q, k)` int64 database rows, best first, and `(Q, k)` float32 scores, where
        k is top_k, N (or N - 1 with `exclude`) at most.

    Raises:
        UserError: If descriptors hold NaN or infinity, are too long for scores in float32, differ
            in their dimension, or the database has no row to rank.
        ValueError: If an argument has the wrong shape or range.
    """
    n_rows = database.shape[0]
    n_ranked = n_rows - (exclude is not None)
    _check_arguments(queries, database, top_k, block_rows, n_ranked)
    exclude = None if exclude is None else _checked_rows(exclude, len(queries), n_rows)
    queries = finite_rows(queries, "query descriptors")
    k = n_ranked if top_k is None else min(top_k, n_ranked)
    rows = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    found = None
    if k * _COST_OF_CANDIDATE <= n_rows:
        found = find_candidates(queries, database, k, block_rows, exclude)
    found = found or [None] * len(queries)
    few = [query for query, candidates in enumerate(found) if candidates is not None]
    if few:
        rows[few], scores[few] = _rank(queries[few], database, [found[q] for q in few], k)
    others = [query for query, candidates in enumerate(found) if candidates is None]
    if others:
        left_out = None if exclude is None else exclude[others]
        rows[others], scores[others] = _search_all(
            queries[others], database, k, block_rows, left_out
        )
    return rows, scores


def _rank(queries, database, candidates, k):
    """The k best of each query's candidate rows, as `(Q, k)` rows and scores."""
    counts = [len(rows) for rows in candidates]
    query, row = np.repeat(np.arange(len(queries)), counts), np.concatenate(candidates)
    # In the order of the database, so that a large file is read once, from front to back.
    order = np.argsort(row, kind="stable")
    keys = np.empty(len(row), np.uint64)

    def score(span):
        pairs = order[span]
        scores = _pair_scores(queries, query[pairs], database, row[pairs])
        return pairs, sort_keys(scores, row[pairs].astype(np.uint64))

    bounds = np.linspace(0, len(row), THREADS + 1).astype(np.int64)
    for pairs, own in in_order(score, map(slice, bounds[:-1], bounds[1:])):
        keys[pairs] = own
    best = [np.sort(own)[:k] for own in np.split(keys, np.cumsum(counts)[:-1])]
    return split_keys(np.stack(best))


def _pair_scores(queries, query_index, database, row_index):
    """`exact_scores.pair_scores` of chosen rows, in buffers that stay in the processor's cache."""
    scores = np.empty(len(row_index), np.float32)
    left, right = np.empty((2, _PAIRS, queries.shape[1]))
    for start in range(0, len(scores), _PAIRS):
        query, row = (index[start : start + _PAIRS] for index in (query_index, row_index))
        n = len(row)
        # "clip" writes to `out` directly; every index is in range.
        np.take(queries, query, axis=0, out=left[:n], mode="clip")
        right[:n] = database[row]
        release(database, row[0], row[-1] + 1)
        scores[start : start + n] = pair_scores(left[:n], right[:n], out=right[:n])
    return scores


def _search_all(queries, database, k, block_rows, exclude):
    """Compares with every row in float64."""
    n_rows = database.shape[0]
    query_norms = norm_bounds(queries)
    # One sortable number a pair, so that the k smallest are the k best with ties resolved.
    keys = np.empty((len(queries), min(n_rows, k + block_rows)), np.uint64)
    filled = 0
    for start in range(0, n_rows, block_rows):
        block = database[start : start + block_rows]
        block64 = finite_rows(block, "database descriptors", start)
        release(database, start, start + block_rows)
        if filled + len(block64) > keys.shape[1]:
            keys[:, :filled].partition(k - 1, axis=1)
            filled = k
        new = keys[:, filled : filled + len(block64)]
        scores = exact_scores(queries, block64, query_norms, norm_bounds(block64).max())
        new[...] = sort_keys(scores, np.arange(start, start + len(block64), dtype=np.uint64))
        if exclude is not None:
            inside = np.flatnonzero((exclude >= start) & (exclude < start + len(block64)))
            new[inside, exclude[inside] - start] = LAST_KEY
        filled += len(block64)
    best = keys[:, :filled]
    if k < filled:
        best.partition(k - 1, axis=1)
    return split_keys(np.sort(best[:, :k], axis=1))


def _check_arguments(queries, database, top_k, block_rows, n_ranked):
    if np.ndim(queries) != 2 or len(database.shape) != 2:
        raise ValueError(
            "queries and database must be (rows, dim). "
            f"Received: {np.shape(queries)} and {database.shape}"
        )
    check_dimensions(queries, database)
    if n_ranked < 1:
        raise UserError("the database holds no image to rank besides the query: add images")
    if database.shape[0] > 1 << 32:
        raise ValueError(f"The database may have 2^32 rows. Received: {database.shape[0]}")
    if (top_k is not None and top_k < 1) or block_rows < 1:
        raise ValueError(
            f"top_k and block_rows must be at least 1. Received: {top_k} and {block_rows}"
        )


def _checked_rows(exclude, n_queries, n_rows):
    exclude = np.asarray(exclude)
    if exclude.shape != (n_queries,):
        raise ValueError(f"exclude needs one row a query. Received: shape {exclude.shape}")
    if n_queries and (exclude.min() < 0 or exclude.max() >= n_rows):
        raise ValueError(
            f"exclude must hold rows in [0, {n_rows}). Received: {exclude.min()}..{exclude.max()}"
        )
    return exclude
