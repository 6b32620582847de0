"""Exact search by dot product, which is the cosine similarity for L2-normalised descriptors."""

import numpy as np

from darac_tf.errors import UserError

# Sorts behind every score: float32 has no value with these bits that is not NaN.
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)
_POSITION_BITS = np.uint64(32)
_MAGNITUDE = np.uint32(0x7FFFFFFF)


def search(queries, database, top_k=None, block_rows=4096, exclude=None):
    """Ranks the database for each query by dot product.

    Equal scores keep the order of the database, at the border of the first k too. Products are
    summed in float64 and rounded to float32: summed in float32, copies of one descriptor can
    differ in the last bit by where they lie in a block, so that ranks would depend on block size
    and machine.

    The database is read in blocks, so a `numpy.memmap` needs never fit in memory. Memory is
    `O(Q * (k + block_rows) + block_rows * D)`.

    Args:
        queries: `(Q, D)` float descriptors.
        database: `(N, D)` float descriptors, array or memmap.
        top_k: Ranks to return, at least 1; more than there are gives all. None gives all.
        block_rows: Database rows that are compared at once.
        exclude: `(Q,)` database row to leave out for each query (leave-one-out), or None.

    Returns:
        Tuple of `(Q, k)` int64 database rows, best first, and `(Q, k)` float32 scores, where
        k is top_k, N (or N - 1 with `exclude`) at most.

    Raises:
        UserError: If descriptors hold NaN or infinity, differ in their dimension, or the
            database has no row to rank.
        ValueError: If an argument has the wrong shape or range.
    """
    n_rows = database.shape[0]
    n_ranked = n_rows - (exclude is not None)
    _check_arguments(queries, database, top_k, block_rows, n_ranked)
    exclude = None if exclude is None else _checked_rows(exclude, len(queries), n_rows)
    queries = finite_rows(queries, "query descriptors")
    k = n_ranked if top_k is None else min(top_k, n_ranked)
    # One sortable number a pair, so that the k smallest are the k best with ties resolved.
    keys = np.empty((len(queries), min(n_rows, k + block_rows)), np.uint64)
    filled = 0
    for start in range(0, n_rows, block_rows):
        block = finite_rows(database[start : start + block_rows], "database descriptors", start)
        if filled + len(block) > keys.shape[1]:
            keys[:, :filled].partition(k - 1, axis=1)
            filled = k
        new = keys[:, filled : filled + len(block)]
        new[...] = _encode((queries @ block.T).astype(np.float32), start)
        if exclude is not None:
            inside = np.flatnonzero((exclude >= start) & (exclude < start + len(block)))
            new[inside, exclude[inside] - start] = _LAST
        filled += len(block)
    best = keys[:, :filled]
    if k < filled:
        best.partition(k - 1, axis=1)
    return _decode(np.sort(best[:, :k], axis=1))


def finite_rows(rows, what, first_row=0):
    """Converts descriptors to float64 and refuses NaN and infinity.

    Args:
        rows: `(n, D)` numbers.
        what: What they are, for the message.
        first_row: Number of the first row within the whole array, for the message.

    Returns:
        `(n, D)` float64 array.

    Raises:
        UserError: If a value is NaN or infinite; names the first such row.
    """
    rows = np.asarray(rows, np.float64)
    is_bad = ~np.isfinite(rows).all(axis=1)
    if is_bad.any():
        raise UserError(
            f"row {first_row + int(np.argmax(is_bad))} of the {what} holds NaN or infinity: "
            "check the model's weights, then compute the descriptors again"
        )
    return rows


def _encode(scores, first_row):
    """uint64 keys `(Q, n)` that sort by falling score, then by rising row."""
    scores += np.float32(0)  # -0.0 has other bits than the equal 0.0
    bits = _flip_positive(scores.view(np.uint32)).astype(np.uint64) << _POSITION_BITS
    return bits | np.arange(first_row, first_row + scores.shape[1], dtype=np.uint64)


def _decode(keys):
    rows = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    bits = (keys >> _POSITION_BITS).astype(np.uint32)
    return rows, _flip_positive(bits).view(np.float32)


def _flip_positive(bits):
    """Maps the bits of float32 to integers in falling order of the floats, and back.

    Bits of negative floats already rise as the floats fall; those of positive ones run the other
    way. The sign bit stays, so the map is its own inverse.
    """
    return np.where(bits > _MAGNITUDE, bits, bits ^ _MAGNITUDE)


def _check_arguments(queries, database, top_k, block_rows, n_ranked):
    if np.ndim(queries) != 2 or len(database.shape) != 2:
        raise ValueError(
            "queries and database must be (rows, dim). "
            f"Received: {np.shape(queries)} and {database.shape}"
        )
    if queries.shape[1] != database.shape[1]:
        raise UserError(
            f"queries have {queries.shape[1]} dimensions but the database has "
            f"{database.shape[1]}: describe both with the same model and whitening"
        )
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
