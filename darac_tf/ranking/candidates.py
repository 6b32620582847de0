"""The rows that can be among the k best, found with float32 products."""

import contextlib

import numpy as np

from darac_tf.memory import release_part
from darac_tf.rows import finite_rows
from darac_tf.threads import in_order

_UNIT_ROUNDOFF = 2.0**-24
# Candidates beyond 2 k that a query may have before it is left to the float64 search.
_SLACK = 1024
# Rows of one matrix product at most where their norms are computed, too: few enough to be in the
# cache still. Otherwise bytes of it. Its scores are 16 MB at most.
_PRODUCT_ROWS = 1024
_PRODUCT_BYTES = 16 << 20
_PRODUCT_SCORES = 1 << 22
# Their products wait for memory alone, and choosing takes no time beside them.
_FEW_QUERIES = 16


def find_candidates(queries, database, k, block_rows, exclude=None, longest=None):
    """Finds for each query the rows whose exact score can be among the k best.

    Why no such row is missed: let x be a query, y a row, c(y) the exact score (of `exact_search`, a
    float64 sum rounded to float32) and s(y) the float32 product. With u = 2^-24, γ_m = m u / (1 -
    m u) and no underflow, rounding x and y to float32 and summing D products in float32 in any
    order gives `|s - x·y| <= γ_{D+2} Σ|x_i y_i| <= γ_{D+2} |x||y|` (Higham, Accuracy and Stability
    of Numerical Algorithms, section 3.1; Cauchy-Schwarz); `|c - x·y| <= 2 u |x||y|`, as the float64
    sum's error is below u |x||y|. Each of the 4 D casts and operations that underflows, even to
    zero, adds 2^-126 times 1, |x_i| or |y_i| at most. So `|s - c| <= B(x, Y)` for all rows up to
    length Y, where `B(x, Y) = γ_{D+8} |x| Y + 2^-123 D (1 + |x| + Y)`; D + 8 leaves room for the
    rounding of B itself. Let t be the k-th largest s among the rows read so far, and Y their
    largest length. Each of those k rows has c >= t - B, and a row with s < t - 2 B has c < t - B:
    it is behind k others, whatever is still to come, and is dropped. Rows that tie with the k-th
    best stay. The product has to be a float32 one: reduced precision (TF32) and Strassen's
    algorithm have other bounds; NumPy's matrix products use neither.

    Args:
        queries: `(Q, D)` finite float64.
        database: `(N, D)` floats, array or what reads like one by slices, such as a memmap.
        k: In [1, N], or N - 1 with `exclude`.
        block_rows: Rows that are compared at once at most; memory may ask for fewer.
        exclude: `(Q,)` row to leave out for each query, or None.
        longest: An upper bound of the norms of all rows, finite float32 then; None computes them.

    Returns:
        List with, for each query, its candidate rows (int64, at least k of them), or None where
        more rows were near the k-th than are kept; and an upper bound of the norms of the database.
        None instead of both where lengths leave the range of float32, or D that of the proof.
        UserError if a row holds NaN or infinity.
    """
    dim = queries.shape[1]
    if (dim + 8) * _UNIT_ROUNDOFF >= 0.5:
        return None
    queries32, query_norms = _as_float32(queries)
    # One product after another is split over the processors by NumPy; where there is more to do,
    # each has its own.
    in_threads = longest is None or len(queries) > _FEW_QUERIES
    step = min(block_rows, _PRODUCT_SCORES // max(1, len(queries)))
    if in_threads:
        step = min(step, _PRODUCT_ROWS if longest is None else _PRODUCT_BYTES // (4 * max(1, dim)))
    step = max(1, step)
    kept = _Kept(len(queries), k, step)

    def multiply(start):
        rows, norm = database[start : start + step], longest
        if longest is None:
            rows, norms = _as_float32(rows)
            norm = norms.max()
        with np.errstate(all="ignore"):  # NaN and too large values show in the norms
            scores = queries32 @ rows.T
        release_part(database, start, start + step)
        return start, scores, norm

    most = 0.0
    starts = range(0, database.shape[0], step)
    blocks = in_order(multiply, starts) if in_threads else (multiply(start) for start in starts)
    with contextlib.closing(blocks):
        for start, scores, norm in blocks:
            if not np.isfinite(norm):
                finite_rows(database[start : start + step], "database descriptors", start)
            most = max(most, norm)
            if not query_norms.max(initial=0) * most < 1e37:
                return None
            if exclude is not None:
                inside = np.flatnonzero((exclude >= start) & (exclude < start + scores.shape[1]))
                # NaN is below every floor, minus infinity included.
                scores[inside, exclude[inside] - start] = np.nan
            kept.add(scores, start, _error_bound(dim, query_norms, most))
    return kept.finish(), most


def _as_float32(rows):
    """The rows, and upper bounds of their norms before; NaN or infinite where a value is."""
    with np.errstate(all="ignore"):
        rows = np.asarray(rows, np.float32)
        # One product a row: this also finds NaN, at less than the cost of `isfinite`.
        squares = np.vecdot(rows, rows).astype(np.float64)
    # 1 / sqrt(1 - γ_D) < 1 + γ_D; the second term covers squares and casts that underflow.
    gamma = _gamma(rows.shape[1] + 4)
    return rows, np.sqrt(squares) * (1 + gamma) + np.sqrt(rows.shape[1]) * 2.0**-60


def _error_bound(dim, query_norms, longest):
    tiny = 2.0**-123 * dim * (1 + query_norms + longest)
    return _gamma(dim + 8) * query_norms * longest + tiny


def _gamma(n):
    return n * _UNIT_ROUNDOFF / (1 - n * _UNIT_ROUNDOFF)


class _Kept:
    """Candidates of all queries, in arrays that are cut back when they fill up."""

    def __init__(self, n_queries, k, block_rows):
        self._k = k
        self._most = 2 * k + _SLACK
        shape = (n_queries, self._most + block_rows)
        self._scores = np.empty(shape, np.float32)
        self._rows = np.empty(shape, np.uint32)
        self._filled = np.zeros(n_queries, np.int64)
        self._kth = np.full(n_queries, -np.inf)  # the k-th best score when last cut
        self._margin = np.zeros(n_queries)
        self._outgrown = np.zeros(n_queries, bool)

    def add(self, scores, first_row, margin):
        """Takes scores `(Q, n)` of n rows, and the bounds B `(Q,)` of all rows up to these."""
        self._margin = margin
        if np.isneginf(self._kth).all() and scores.shape[1] >= 2 * self._k:
            # The k best of the first block: without them all of the next ones would be kept, too.
            known = np.where(np.isnan(scores), np.float32(-np.inf), scores)
            self._kth = np.partition(known, -self._k, axis=1)[:, -self._k].astype(np.float64)
        width, n = self._scores.shape[1], scores.shape[1]
        # Flat, because `nonzero` of a matrix takes several times as long.
        flat = np.flatnonzero(scores >= self._floor()[:, None])
        ends = np.searchsorted(flat, np.arange(1, len(scores) + 1) * n)
        counts = np.diff(ends, prepend=0)
        full = np.flatnonzero(self._filled + counts > width)
        if full.size:
            self._cut(full)
            if self._outgrown[full].any():
                flat = flat[~np.repeat(self._outgrown, counts)]
                counts[self._outgrown] = 0
        number = np.arange(len(counts))
        place = np.repeat(number * width + self._filled, counts) + _count_up(counts)
        self._scores.reshape(-1)[place] = scores.reshape(-1)[flat]
        flat -= np.repeat(number * n - first_row, counts)
        self._rows.reshape(-1)[place] = flat
        self._filled += counts

    def finish(self):
        """The list of `find_candidates`."""
        self._cut(np.flatnonzero(~self._outgrown))
        return [
            None if gone else rows[:n].astype(np.int64)
            for gone, rows, n in zip(self._outgrown, self._rows, self._filled, strict=True)
        ]

    def _floor(self):
        """What a score must reach, float32 `(Q,)`: t - 2 B, or a little less."""
        # The margin grows with the longest row, so that an earlier floor may be too high.
        floor = (self._kth - 2 * self._margin).astype(np.float32)
        return np.nextafter(floor, np.float32(-np.inf))  # the cast may have rounded up

    def _cut(self, queries):
        """Raises the floor of queries and drops what is below it; keeps the order of the rows."""
        counts = self._filled[queries]
        width = counts.max(initial=self._k)
        scores, rows = self._scores[queries, :width], self._rows[queries, :width]
        scores[np.arange(width) >= counts[:, None]] = -np.inf
        self._kth[queries] = np.partition(scores, width - self._k, axis=1)[:, width - self._k]
        flat = np.flatnonzero(scores >= self._floor()[queries, None])
        query = flat // width
        counts = np.bincount(query, minlength=len(queries))
        place = queries[query], _count_up(counts)
        self._scores[place] = scores.reshape(-1)[flat]
        self._rows[place] = rows.reshape(-1)[flat]
        outgrown = queries[counts > self._most]
        self._filled[queries] = counts
        self._outgrown[outgrown] = True
        self._filled[outgrown] = 0
        self._kth[outgrown] = np.inf


def _count_up(counts):
    """The numbers from 0 to each count, one run of them after another, in one array."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
