"""Dot products that depend on the two descriptors only, and numbers to sort them by."""

import numpy as np

from darac_tf.errors import UserError

# Sorts behind every score: float32 has no value with these bits that is not NaN.
LAST_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)
_POSITION_BITS = np.uint64(32)
_MAGNITUDE = np.uint32(0x7FFFFFFF)

_UNIT_ROUNDOFF = 2.0**-53
_SMALLEST = 2.0**-1022
# Entries of the temporary products of a batch of pairs: 32 MB.
_BATCH_ENTRIES = 1 << 22


def exact_scores(queries, rows, query_norms, row_norm):
    """Dot products of all pairs: summed in float64 in a fixed order, rounded to float32.

    A matrix product sums in an order that changes with the shape of the matrices and with the place
    of a row in them, so that copies of one descriptor may differ in the last bit. It decides here
    only where every order gives the same float32:

    Both sums have a relative error below `γ_D Σ|x_i y_i| <= γ_D |x||y|` (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1; γ_D = D u / (1 - D u), u = 2^-53; any order,
    with fused operations or without), plus D times the smallest normal number for products that
    underflow. They so differ by e = 2 (γ_D |x||y| + D 2^-1022) at most, and rounding is monotone:
    where the product - e and the product + e round to one float32, so does the fixed sum. The few
    other pairs are summed again in the fixed order.

    Args:
        queries: `(Q, D)` finite float64.
        rows: `(n, D)` finite float64.
        query_norms: `(Q,)` upper bounds of the queries' L2 norms.
        row_norm: Upper bound of the rows' L2 norms.

    Returns:
        float32 array `(Q, n)`, without negative zeros.

    Raises:
        UserError: If descriptors are so long that a score may exceed float32.
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
    batch = max(1, _BATCH_ENTRIES // max(1, dim))
    for start in range(0, len(unsure[0]), batch):
        query, row = (index[start : start + batch] for index in unsure)
        scores[query, row] = pair_scores(queries[query], rows[row])
    return scores + np.float32(0)  # -0.0 has other bits than the equal 0.0


def pair_scores(queries, rows, out=None):
    """Dot products of `(n, D)` float64 queries and as many rows, as `exact_scores` defines them.

    NumPy sums each row of a C-contiguous matrix by itself, in an order set by D alone.

    Args:
        queries: `(n, D)` finite float64.
        rows: `(n, D)` finite float64.
        out: C-contiguous float64 array `(n, D)` to overwrite with the products, which may be
            `rows`, or None for a new one.

    Returns:
        float32 array `(n,)`, without negative zeros.
    """
    products = np.multiply(queries, rows, out=out, order="C")
    return products.sum(axis=1).astype(np.float32) + np.float32(0)


def norm_bounds(rows):
    """Upper bounds of the L2 norms of float64 rows `(n, D)`; infinite where they overflow."""
    with np.errstate(over="ignore"):
        squares = np.vecdot(rows, rows)
    # Far above the relative error of the sum; the second term covers squares that underflow.
    return np.sqrt(squares) * (1 + 2.0**-24) + np.sqrt(rows.shape[1]) * 2.0**-500


def sort_keys(scores, positions):
    """uint64 numbers that sort by falling score, then by rising position.

    Args:
        scores: float32 array without NaN and negative zeros.
        positions: uint64 array below 2^32 that broadcasts with it.
    """
    return _flip_positive(scores.view(np.uint32)).astype(np.uint64) << _POSITION_BITS | positions


def split_keys(keys):
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
