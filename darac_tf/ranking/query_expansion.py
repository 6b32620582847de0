"""Query expansion and database augmentation: descriptors averaged with those of their neighbours.

All follow a first search. In leave-one-out protocols the query is a row of the database itself:
search with `exclude`, so that its own row is not counted as a neighbour.
"""

import numpy as np

from darac_tf.ranking.exact_search import search
from darac_tf.rows import check_dimensions, finite_rows, unit_rows


def average_expansion(queries, database, rows):
    """Average query expansion: the mean of a query and the n images found first, normalised.

    `q' = L2(q + sum_{r=1..n} d_r)`. Chum et al., Total recall, ICCV 2007, average images that were
    verified geometrically; with global descriptors the first n are taken as they are.

    >>> average_expansion(np.eye(2)[:1], np.eye(2), [[1]])
    array([[0.70710677, 0.70710677]], dtype=float32)

    Args:
        queries: `(Q, D)` unit vectors.
        database: `(N, D)` unit vectors, array, memmap or what reads like one.
        rows: `(Q, n)` database rows, best first, from `search`; -1 stands for none.

    Returns:
        float32 array `(Q, D)` of unit vectors (a zero vector where the sum is zero).

    Raises:
        UserError: If a descriptor that is used holds NaN or infinity, or dimensions differ.
    """
    return _expansion(queries, database, np.asarray(rows), np.ones(np.shape(rows)))


def alpha_expansion(queries, database, rows, scores, alpha=3.0):
    """Alpha query expansion: as `average_expansion`, weighted by a power of the similarity.

    `q' = L2(q + sum_{r=1..n} max(s_r, 0)^alpha d_r)`: the query has weight 1, as its similarity
    to itself. Radenović, Tolias and Chum, Fine-tuning CNN image retrieval with no human
    annotation, PAMI 2018 (alpha 3, n 50 there). Negative similarities count as 0; alpha 0 gives
    `average_expansion`.

    >>> alpha_expansion(np.eye(2)[:1], np.eye(2), [[1]], [[0.5]], alpha=1)
    array([[0.8944272, 0.4472136]], dtype=float32)

    Args:
        queries, database, rows: As in `average_expansion`, like the result and errors.
        scores: `(Q, n)` similarities of the rows.
        alpha: Power, at least 0.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha must be at least 0. Received: alpha={alpha}")
    # NumPy's 0^0 is 1, so that alpha 0 weighs all alike.
    weights = np.maximum(np.asarray(scores, np.float64), 0) ** alpha
    return _expansion(queries, database, np.asarray(rows), weights)


def augment_database(database, n, block_rows=1024):
    """Database-side augmentation: each image's descriptor is averaged with its n nearest others.

    `d_i' = L2(d_i + sum_{r=1..n} (k - r) / k d_{i,r})`, where k = n + 1 and `d_{i,r}` is the r-th
    of the other images: the image itself has rank 0 and weight 1 (Gordo et al., DIR, IJCV 2017).
    The search runs over blocks of images, so that memory grows with N as the result does, not
    with N^2; time does grow with N^2.

    >>> augment_database(np.float32([[1, 0], [0, 1]]), 1)
    array([[0.8944272, 0.4472136],
           [0.4472136, 0.8944272]], dtype=float32)

    Args:
        database: `(N, D)` unit vectors, array, memmap or what reads like one.
        n: Others to add, at least 1; more than there are adds all.
        block_rows: Images whose neighbours are searched at once.

    Returns:
        float32 array `(N, D)` of unit vectors (a zero vector where the sum is zero).

    Raises:
        UserError: If a descriptor holds NaN or infinity.
    """
    if n < 1 or block_rows < 1:
        raise ValueError(f"n and block_rows must be at least 1. Received: {n=}, {block_rows=}")
    out = np.empty(database.shape, np.float32)
    n = min(n, len(out) - 1)
    for start in range(0, len(out), block_rows):
        block = finite_rows(database[start : start + block_rows], "database descriptors", start)
        if n > 0:
            rows, _ = search(block, database, n, exclude=np.arange(start, start + len(block)))
            weights = np.broadcast_to((n - np.arange(n)) / (n + 1), rows.shape)
            block = _weighted_sum(block, database, rows, weights)
        out[start : start + len(block)] = unit_rows(block)
    return out


def _expansion(queries, database, rows, weights):
    queries = finite_rows(queries, "query descriptors")
    check_dimensions(queries, database)
    n_queries, n_rows = len(queries), database.shape[0]
    if rows.ndim != 2 or len(rows) != n_queries or rows.shape != weights.shape:
        shapes = f"{rows.shape} and {weights.shape}"
        raise ValueError(f"rows and scores must be ({n_queries}, n). Received: {shapes}")
    if rows.size and (rows.min() < -1 or rows.max() >= n_rows):
        found = f"{rows.min()}..{rows.max()}"
        raise ValueError(f"rows must lie in [-1, {n_rows}). Received: {found}")
    return unit_rows(_weighted_sum(queries, database, rows, np.where(rows < 0, 0.0, weights)))


def _weighted_sum(own, database, rows, weights):
    """`own + sum_r weights[:, r] * database[rows[:, r]]` in float64, a rank at a time.

    A row of -1 reads the last one, with weight 0.
    """
    total = np.array(own, np.float64)
    for rank in range(rows.shape[1]):
        neighbours = np.asarray(database[rows[:, rank]])
        total += weights[:, rank, None] * finite_rows(neighbours, "chosen database descriptors")
    return total
