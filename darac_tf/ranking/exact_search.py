"""Exact search by dot product, which is the cosine similarity for L2-normalised descriptors."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.memory import release_part
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
# Pairs of query and candidate that a thread scores at once, from buffers in the processor's cache,
# and bytes of the database that it goes through with all queries, one after another.
_PAIRS = 128
_PART_BYTES = 32 << 20
# So few are scored at once, in less time than threads take to start; and with fewer of a query in a
# part, threads wait for each other, as Python runs on one at a time, longer than they compute.
_FEW_PAIRS = 2048
_FEW_OF_A_QUERY = 6
# Parts for each thread at least, so that all end at about the same time.
_PARTS = 2


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
    found, longest = found or ([None] * len(queries), None)
    if few := [query for query, candidates in enumerate(found) if candidates is not None]:
        chosen = [found[query] for query in few]
        rows[few], scores[few] = _rank(queries[few], database, chosen, k, longest)
    if others := [query for query, candidates in enumerate(found) if candidates is None]:
        own = None if exclude is None else exclude[others]
        rows[others], scores[others] = _search_all(queries[others], database, k, block_rows, own)
    return rows, scores


def _rank(queries, database, candidates, k, longest):
    """The k best of each query's candidate rows, as `(Q, k)` rows and scores.

    `longest` is an upper bound of the norms of the candidates.
    """
    counts = [len(rows) for rows in candidates]
    query, row = np.repeat(np.arange(len(queries)), counts), np.concatenate(candidates)
    # Part by part of the database, so that a large file is read once, from front to back; within a
    # part query by query, as they are.
    part_rows = min(_PART_BYTES // (4 * queries.shape[1]), database.shape[0] // (_PARTS * THREADS))
    part = row // max(1, part_rows)
    order = np.argsort(part, kind="stable")
    borders = np.flatnonzero(np.diff(part[order])) + 1 if len(row) > _FEW_PAIRS else []
    parts = np.split(order, borders)
    keys = np.empty(len(row), np.uint64)
    norms = _norm_bounds(queries)

    def score(pairs):
        scores = _pair_scores(queries, norms, query[pairs], database, row[pairs], longest)
        return pairs, _sort_keys(scores, row[pairs].astype(np.uint64))

    in_threads = len(row) > max(_FEW_PAIRS, _FEW_OF_A_QUERY * len(parts) * len(queries))
    for pairs, own in (in_order if in_threads else map)(score, parts):
        keys[pairs] = own
    best = [np.sort(own)[:k] for own in np.split(keys, np.cumsum(counts)[:-1])]
    return _split_keys(np.stack(best))


def _pair_scores(queries, norms, query, database, row, longest):
    """Scores of chosen pairs, float32 `(pairs,)` without negative zeros; see `_rounded`.

    Pairs of one query follow each other, and are multiplied with its vector at once.
    """
    products = np.empty(len(row))
    at_once = min(_PAIRS, len(row))
    vectors = np.empty((at_once, queries.shape[1]))
    read = _reader(database, at_once)
    is_first = np.diff(query, prepend=-1) != 0
    is_first[::_PAIRS] = True
    bounds = [*np.flatnonzero(is_first).tolist(), len(row)]
    # Little but products happens here: threads wait for each other between them.
    for first, last, own in zip(bounds, bounds[1:], query[bounds[:-1]].tolist(), strict=False):
        place = first % _PAIRS
        if not place:
            rows = row[first : first + _PAIRS]
            vectors[: len(rows)] = read(rows)
        np.dot(vectors[place : place + last - first], queries[own], products[first:last])
    scores, unsure = _rounded(products, norms[query] * longest, queries.shape[1])
    unsure = np.flatnonzero(unsure)
    for start in range(0, len(unsure), _PAIRS):
        pairs = unsure[start : start + _PAIRS]
        vectors[: len(pairs)] = read(row[pairs])
        scores[pairs] = _in_fixed_order(queries[query[pairs]], vectors[: len(pairs)])
    release_part(database, row.min(), row.max() + 1)
    return scores + np.float32(0)  # -0.0 has other bits than the equal 0.0


def _reader(database, most):
    """Function of up to `most` rows' numbers to their vectors, which the next call overwrites."""
    if not isinstance(database, np.ndarray):
        return database.__getitem__
    vectors = np.empty((most, database.shape[1]), database.dtype)
    # "clip" writes to `out` directly; every index is in range.
    return lambda rows: np.take(database, rows, 0, vectors[: len(rows)], "clip")


def _in_fixed_order(left, right):
    """Dot products of float64 rows `(pairs, D)`, rounded to float32.

    NumPy sums each row of a C-contiguous matrix by itself, in an order set by D alone.
    """
    return np.multiply(left, right).sum(axis=1).astype(np.float32)


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
        release_part(database, start, start + block_rows)
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
    """Dot products of all pairs of finite float64 rows; see `_rounded`.

    Norms are upper bounds of theirs: `(Q,)`, and one number. UserError if descriptors are so long
    that a score may exceed float32.
    """
    limit = query_norms * row_norm
    if np.any(limit > np.finfo(np.float32).max / 2):
        raise UserError(
            f"descriptors are too long to compare in float32 (norms {query_norms.max():.2g} and "
            f"{row_norm:.2g}): normalise them to length 1"
        )
    scores, unsure = _rounded(queries @ rows.T, limit[:, None], queries.shape[1])
    unsure = np.nonzero(unsure)
    for start in range(0, len(unsure[0]), _PAIRS):
        query, row = (index[start : start + _PAIRS] for index in unsure)
        scores[query, row] = _in_fixed_order(queries[query], rows[row])
    return scores + np.float32(0)


def _rounded(products, limit, dim):
    """Scores of float64 dot products of D numbers: summed in a fixed order, rounded to float32.

    A product of matrices or vectors sums in an order that changes with their shapes, their places
    and the machine, so that copies of one descriptor may differ in the last bit. It decides here
    only where every order gives the same float32:

    Both sums have a relative error below `γ_D Σ|x_i y_i| <= γ_D |x||y|` (Higham, as in
    `find_candidates`; γ_D = D u / (1 - D u), u = 2^-53; any order, with fused operations or
    without), plus D times the smallest normal number for products that underflow. They so differ by
    e = 2 (γ_D |x||y| + D 2^-1022) at most, and rounding is monotone: where the product - e and the
    product + e round to one float32, so does the fixed sum. The few other pairs are to be summed
    again, by `_in_fixed_order`.

    Returns:
        Scores, and bool of the same shape, where they have to be summed again. `limit` are upper
        bounds of |x||y|.
    """
    gamma = dim * _UNIT_ROUNDOFF / (1 - dim * _UNIT_ROUNDOFF)
    # 1 % more covers the rounding of this line and of the two sums below it.
    error = 2.02 * (gamma * limit + dim * _SMALLEST)
    scores = (products - error).astype(np.float32)
    return scores, scores != (products + error).astype(np.float32)


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
