"""Exact search by dot product, which is the cosine similarity for L2-normalised descriptors."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.memory import release
from darac_tf.ranking.candidates import find_candidates
from darac_tf.rows import check_dimensions, finite_rows
from darac_tf.threads import THREADS, in_order

# Sorts behind every score: float32 has no value with these bits that is not NaN.
_LAST_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)
_POSITION_BITS = np.uint64(32)
_MAGNITUDE = np.uint32(0x7FFFFFFF)

_UNIT_ROUNDOFF = 2.0**-53
_SMALLEST = 2.0**-1022
# Scoring a chosen row in float64 costs about as much as this many rows of a float32 product.
_COST_OF_CANDIDATE = 16
# Pairs of query and candidate that a thread scores at once.
_PAIRS = 128


def search(queries, database, top_k=None, block_rows=4096, exclude=None, longest=None):
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
        longest: An upper bound of the norms of the database's rows, which must be finite then, to
            save computing them with each search; None where they are not known.

    Returns:
        Tuple of `(Q, k)` int64 database rows, best first, and `(Q, k)` float32 scores, where
        k is top_k, N (or N - 1 with `exclude`) at most.

    Raises:
        UserError: If descriptors hold NaN or infinity, are too long for scores in float32, differ
            in their dimension, or the database has no row to rank.
    """
    n_rows = database.shape[0]
    n_ranked = n_rows - (exclude is not None)
    exclude = None if exclude is None else np.asarray(exclude)
    _check_arguments(queries, database, top_k, block_rows, exclude)
    queries = finite_rows(queries, "query descriptors")
    k = n_ranked if top_k is None else min(top_k, n_ranked)
    rows = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    found = None
    if k * _COST_OF_CANDIDATE <= n_rows:
        found = find_candidates(queries, database, k, block_rows, exclude, longest)
    found = found or [None] * len(queries)
    if few := [query for query, candidates in enumerate(found) if candidates is not None]:
        rows[few], scores[few] = _rank(queries[few], database, [found[q] for q in few], k)
    if others := [query for query, candidates in enumerate(found) if candidates is None]:
        own = None if exclude is None else exclude[others]
        rows[others], scores[others] = _search_all(queries[others], database, k, block_rows, own)
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
        return pairs, _sort_keys(scores, row[pairs].astype(np.uint64))

    bounds = np.linspace(0, len(row), THREADS + 1).astype(np.int64)
    for pairs, own in in_order(score, map(slice, bounds[:-1], bounds[1:])):
        keys[pairs] = own
    best = [np.sort(own)[:k] for own in np.split(keys, np.cumsum(counts)[:-1])]
    return _split_keys(np.stack(best))


def _pair_scores(queries, query_index, database, row_index):
    """Dot products of chosen pairs, float32 `(pairs,)` without negative zeros.

    NumPy sums each row of a C-contiguous matrix by itself, in an order set by D alone. The buffers
    stay in the processor's cache.
    """
    scores = np.empty(len(row_index), np.float32)
    left, right = np.empty((2, _PAIRS, queries.shape[1]))
    for start in range(0, len(scores), _PAIRS):
        query, row = (index[start : start + _PAIRS] for index in (query_index, row_index))
        n = len(row)
        # "clip" writes to `out` directly; every index is in range.
        np.take(queries, query, axis=0, out=left[:n], mode="clip")
        right[:n] = database[row]
        release(database, row[0], row[-1] + 1)
        scores[start : start + n] = np.multiply(left[:n], right[:n], out=right[:n]).sum(axis=1)
    return scores + np.float32(0)  # -0.0 has other bits than the equal 0.0


def _search_all(queries, database, k, block_rows, exclude):
    """Compares with every row in float64."""
    n_rows = database.shape[0]
    query_norms = _norm_bounds(queries)
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
        scores = _exact_scores(queries, block64, query_norms, _norm_bounds(block64).max())
        new[...] = _sort_keys(scores, np.arange(start, start + len(block64), dtype=np.uint64))
        if exclude is not None:
            inside = np.flatnonzero((exclude >= start) & (exclude < start + len(block64)))
            new[inside, exclude[inside] - start] = _LAST_KEY
        filled += len(block64)
    best = keys[:, :filled]
    if k < filled:
        best.partition(k - 1, axis=1)
    return _split_keys(np.sort(best[:, :k], axis=1))


def _exact_scores(queries, rows, query_norms, row_norm):
    """Dot products of all pairs: summed in float64 in a fixed order, rounded to float32.

    A matrix product sums in an order that changes with the shape of the matrices and with the place
    of a row in them, so that copies of one descriptor may differ in the last bit. It decides here
    only where every order gives the same float32:

    Both sums have a relative error below `γ_D Σ|x_i y_i| <= γ_D |x||y|` (Higham, as in
    `find_candidates`; γ_D = D u / (1 - D u), u = 2^-53; any order, with fused operations or
    without), plus D times the smallest normal number for products that underflow. They so differ by
    e = 2 (γ_D |x||y| + D 2^-1022) at most, and rounding is monotone: where the product - e and the
    product + e round to one float32, so does the fixed sum. The few other pairs are summed again in
    the fixed order.

    Rows are finite float64 and norms upper bounds of theirs: `(Q,)`, and one number. UserError if
    descriptors are so long that a score may exceed float32.
    """
    limit = query_norms * row_norm
    if np.any(limit > np.finfo(np.float32).max / 2):
        raise UserError(
            f"descriptors are too long to compare in float32 (norms {query_norms.max():.2g} and "
            f"{row_norm:.2g}): normalise them to length 1"
        )
    dim = queries.shape[1]
    gamma = dim * _UNIT_ROUNDOFF / (1 - dim * _UNIT_ROUNDOFF)
    # 1 % more covers the rounding of this line and of the two sums below it.
    error = 2.02 * (gamma * limit + dim * _SMALLEST)[:, None]
    product = queries @ rows.T
    scores = (product - error).astype(np.float32)
    unsure = np.nonzero(scores != (product + error).astype(np.float32))
    scores[unsure] = _pair_scores(queries, unsure[0], rows, unsure[1])
    return scores + np.float32(0)


def _norm_bounds(rows):
    """Upper bounds of the L2 norms of float64 rows `(n, D)`; infinite where they overflow."""
    with np.errstate(over="ignore"):
        squares = np.vecdot(rows, rows)
    # Far above the relative error of the sum; the second term covers squares that underflow.
    return np.sqrt(squares) * (1 + 2.0**-24) + np.sqrt(rows.shape[1]) * 2.0**-500


def _sort_keys(scores, positions):
    """uint64 that sort by falling float32 score, then by rising uint64 position below 2^32."""
    return _flip_positive(scores.view(np.uint32)).astype(np.uint64) << _POSITION_BITS | positions


def _split_keys(keys):
    """The int64 positions and float32 scores of sorted keys."""
    positions = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    bits = (keys >> _POSITION_BITS).astype(np.uint32)
    return positions, _flip_positive(bits).view(np.float32)


def _flip_positive(bits):
    """Maps the bits of float32 to integers in falling order of the floats, and back.

    Bits of negative floats already rise as the floats fall; those of positive ones run the other
    way. The sign bit stays, so the map is its own inverse.
    """
    return np.where(bits > _MAGNITUDE, bits, bits ^ _MAGNITUDE)


def _check_arguments(queries, database, top_k, block_rows, exclude):
    shape, n_rows = np.shape(queries), database.shape[0]
    if len(shape) != 2 or len(database.shape) != 2:
        raise ValueError(
            f"queries and database must be (rows, dim). Received: {shape} and {database.shape}"
        )
    check_dimensions(queries, database)
    if n_rows <= (exclude is not None):
        raise UserError("the database holds no image to rank besides the query: add images")
    if n_rows > 1 << 32:
        raise ValueError(f"The database may have 2^32 rows. Received: {n_rows}")
    if (top_k is not None and top_k < 1) or block_rows < 1:
        raise ValueError(
            f"top_k and block_rows must be at least 1. Received: {top_k} and {block_rows}"
        )
    if exclude is not None and exclude.shape != shape[:1]:
        raise ValueError(f"exclude needs one row a query. Received: shape {exclude.shape}")
    if exclude is not None and not ((exclude >= 0) & (exclude < n_rows)).all():
        raise ValueError(f"exclude must hold rows in [0, {n_rows}). Received: {exclude}")
