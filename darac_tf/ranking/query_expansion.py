"""Query expansion and database augmentation: descriptors averaged with those of their neighbours.

All follow a first search. In leave-one-out protocols the query is a row of the database itself:
pass `exclude`, so that its own row is not counted as a neighbour.
"""

import numpy as np

from darac_tf.ranking.exact_search import search
from darac_tf.rows import finite_rows, unit_rows

WEIGHTINGS = ("rank", "equal", "similarity")


def average_expansion(queries, database, rows, n=None, exclude=None):
    """Average query expansion: the mean of a query and the n images found first, normalised.

    `q' = L2(q + sum_{r=1..n} d_r)`. Chum et al., Total recall, ICCV 2007, average images that were
    verified geometrically; with global descriptors the first n are taken as they are.

    >>> average_expansion(np.eye(2)[:1], np.eye(2), [[1, 0]], n=1)
    array([[0.70710677, 0.70710677]], dtype=float32)

    Args:
        queries: `(Q, D)` unit vectors.
        database: `(N, D)` unit vectors, array, memmap or what reads like one.
        rows: `(Q, k)` database rows, best first, from `search`; -1 stands for none.
        n: Images to add, at least 0; None, or more than `rows` holds, adds all.
        exclude: `(Q,)` row to leave out of each query's ranking where it is in it, or None.

    Returns:
        float32 array `(Q, D)` of unit vectors (a zero vector where the sum is zero).

    Raises:
        UserError: If a descriptor that is used holds NaN or infinity.
        ValueError: If an argument has the wrong shape or range.
    """
    rows = np.asarray(rows)
    return _expansion(queries, database, rows, np.ones(rows.shape), n, exclude)


def alpha_expansion(queries, database, rows, scores, alpha=3.0, n=None, exclude=None):
    """Alpha query expansion: as `average_expansion`, weighted by a power of the similarity.

    `q' = L2(q + sum_{r=1..n} max(s_r, 0)^alpha d_r)`: the query has weight 1, as its similarity
    to itself. Radenović, Tolias and Chum, Fine-tuning CNN image retrieval with no human
    annotation, PAMI 2018 (alpha 3, n 50 there). Negative similarities count as 0; alpha 0 gives
    `average_expansion`.

    >>> alpha_expansion(np.eye(2)[:1], np.eye(2), [[1, 0]], [[0.5, 0.1]], alpha=1, n=1)
    array([[0.8944272, 0.4472136]], dtype=float32)

    Args:
        queries: `(Q, D)` unit vectors.
        database: `(N, D)` unit vectors, array, memmap or what reads like one.
        rows: `(Q, k)` database rows, best first, from `search`; -1 stands for none.
        scores: `(Q, k)` their similarities.
        alpha: Power, at least 0.
        n: Images to add, at least 0; None, or more than `rows` holds, adds all.
        exclude: `(Q,)` row to leave out of each query's ranking where it is in it, or None.

    Returns:
        float32 array `(Q, D)` of unit vectors (a zero vector where the sum is zero).

    Raises:
        UserError: If a descriptor that is used holds NaN or infinity.
        ValueError: If an argument has the wrong shape or range.
    """
    weights = _similarity_weights(scores, alpha)
    return _expansion(queries, database, np.asarray(rows), weights, n, exclude)


def augment_database(database, n, block_rows=1024, weighting="rank", alpha=3.0, out=None):
    """Database-side augmentation: each image's descriptor is averaged with its n nearest others.

    `d_i' = L2(d_i + sum_{r=1..n} w_r d_{i,r})`, where `d_{i,r}` is the r-th of the other images.
    Weights w_r: "rank" `(k - r) / k` with k = n + 1, so that the image itself has rank 0 and
    weight 1 (Gordo et al., DIR, IJCV 2017); "equal" 1 (Turcot and Lowe, ICCV workshops 2009;
    Arandjelović and Zisserman, Three things everyone should know, CVPR 2012, for bags of words);
    "similarity" `max(s_r, 0)^alpha`, as in `alpha_expansion`.

    The search runs over blocks of images, so that memory grows with N as the result does, not
    with N^2; time does grow with N^2.

    >>> augment_database(np.float32([[1, 0], [0, 1]]), 1)
    array([[0.8944272, 0.4472136],
           [0.4472136, 0.8944272]], dtype=float32)

    Args:
        database: `(N, D)` unit vectors, array, memmap or what reads like one.
        n: Others to add, at least 1; more than there are adds all.
        block_rows: Images whose neighbours are searched at once.
        weighting: "rank", "equal" or "similarity".
        alpha: Power for "similarity", at least 0.
        out: float32 array `(N, D)` to write to, such as a `numpy.memmap`, or None for a new one.
            It must not overlap with the database, whose old rows are read to the end.

    Returns:
        `out`: unit vectors (a zero vector where the sum is zero).

    Raises:
        UserError: If a descriptor holds NaN or infinity.
        ValueError: If an argument has the wrong shape, range or value.
    """
    _check_augmentation(database, n, weighting, block_rows, out)
    out = np.empty(database.shape, np.float32) if out is None else out
    n = min(n, max(0, database.shape[0] - 1))
    for start in range(0, database.shape[0], block_rows):
        block = finite_rows(database[start : start + block_rows], "database descriptors", start)
        if n > 0:
            own = np.arange(start, start + len(block))
            rows, scores = search(block, database, n, exclude=own)
            weights = _augmentation_weights(scores, weighting, alpha)
            block = _weighted_sum(block, database, rows, weights)
        out[start : start + len(block)] = unit_rows(block)
    return out


def _expansion(queries, database, rows, weights, n, exclude):
    queries = finite_rows(queries, "query descriptors")
    _check_ranking(queries, database, rows, weights, n)
    weights = np.where(rows < 0, 0.0, weights)
    if exclude is not None:
        rows, weights = _without(rows, weights, exclude)
    return unit_rows(_weighted_sum(queries, database, rows[:, :n], weights[:, :n]))


def _weighted_sum(own, database, rows, weights):
    """`own + sum_r weights[:, r] * database[rows[:, r]]` in float64, a rank at a time.

    A row of -1 reads the last one, with weight 0.
    """
    total = np.array(own, np.float64)
    for rank in range(rows.shape[1]):
        neighbours = np.asarray(database[rows[:, rank]])
        total += weights[:, rank, None] * finite_rows(neighbours, "chosen database descriptors")
    return total


def _without(rows, weights, exclude):
    """Moves each query's excluded row to the end, with weight 0; the others keep their order."""
    exclude = np.asarray(exclude)
    if exclude.shape != (len(rows),):
        raise ValueError(f"exclude needs one row a query. Received: shape {exclude.shape}")
    is_own = rows == exclude[:, None]
    order = np.argsort(is_own, axis=1, kind="stable")
    weights = np.where(is_own, 0.0, weights)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(weights, order, axis=1)


def _similarity_weights(scores, alpha):
    if not alpha >= 0:
        raise ValueError(f"alpha must be at least 0. Received: alpha={alpha}")
    # NumPy's 0^0 is 1, so that alpha 0 weighs all alike.
    return np.maximum(np.asarray(scores, np.float64), 0) ** alpha


def _augmentation_weights(scores, weighting, alpha):
    n = scores.shape[1]
    if weighting == "similarity":
        return _similarity_weights(scores, alpha)
    by_rank = np.ones(n) if weighting == "equal" else (n - np.arange(n)) / (n + 1)
    return np.broadcast_to(by_rank, scores.shape)


def _check_ranking(queries, database, rows, weights, n):
    if n is not None and n < 0:
        raise ValueError(f"n must be at least 0. Received: n={n}")
    if rows.ndim != 2 or len(rows) != len(queries) or rows.shape != weights.shape:
        raise ValueError(
            f"rows and scores must be ({len(queries)}, k). Received: {rows.shape} "
            f"and {weights.shape}"
        )
    if queries.shape[1] != database.shape[1]:
        raise ValueError(
            "queries and database must have one dimension. "
            f"Received: {queries.shape[1]} and {database.shape[1]}"
        )
    if rows.size and (rows.min() < -1 or rows.max() >= database.shape[0]):
        raise ValueError(
            f"rows must lie in [-1, {database.shape[0]}). Received: {rows.min()}..{rows.max()}"
        )


def _check_augmentation(database, n, weighting, block_rows, out):
    if len(database.shape) != 2 or n < 1 or block_rows < 1:
        raise ValueError(
            "database must be (rows, dim), n and block_rows at least 1. "
            f"Received: n={n}, block_rows={block_rows} and {database.shape}"
        )
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting must be one of {WEIGHTINGS}. Received: {weighting!r}")
    if out is None:
        return
    overlaps = isinstance(database, np.ndarray) and np.may_share_memory(out, database)
    if out.shape != database.shape or out.dtype != np.float32 or overlaps:
        raise ValueError(
            f"out must be a float32 array {database.shape} apart from the database. "
            f"Received: {out.dtype} {out.shape}"
        )
