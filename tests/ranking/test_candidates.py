"""The float32 search for candidates: no row that ranks may be missed, however near the scores."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.ranking import candidates
from darac_tf.ranking.candidates import find_candidates
from darac_tf.ranking.exact_search import search


def exact_ranking(queries, database, k, exclude=None):
    """Whole numbers in plain loops: products and sums without any rounding."""
    ranked, scores = [], []
    for number, query in enumerate(queries):
        products = [
            sum(int(a) * int(b) for a, b in zip(query, row, strict=True)) for row in database
        ]
        single = [np.float32(product) for product in products]
        rows = [i for i in range(len(database)) if exclude is None or i != exclude[number]]
        rows = sorted(rows, key=lambda i, single=single: -single[i])[:k]
        ranked.append(rows)
        scores.append([single[i] for i in rows])
    return np.array(ranked), np.array(scores, np.float32)


def near_ties(rng, n, dim):
    """Rows that differ by little of much: sums of large products that cancel, in whole numbers.

    Products stay below 2^44 and sums below 2^50: exact in float64, but far from it in float32.
    """
    row = rng.integers(-(2**20), 2**20, dim)
    changes = rng.integers(-1, 2, (n, dim)) * (rng.random((n, dim)) < 0.2)
    scale = 2 ** rng.integers(0, 3, (n, 1)) if rng.random() < 0.5 else 1
    return ((row + changes) * scale).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(64, 150),
    dim=st.integers(1, 40),
    k=st.integers(1, 4),
    block_rows=st.integers(1, 160),
    leave_one_out=st.booleans(),
)
def test_near_ties_rank_as_without_rounding(seed, n, dim, k, block_rows, leave_one_out):
    rng = np.random.default_rng(seed)
    database = near_ties(rng, n, dim)
    queries = rng.integers(-(2**19), 2**19, (3, dim)).astype(np.float32)
    # As good as orthogonal: the scores are small against the lengths.
    queries[0] = rng.permutation(database[0])
    exclude = rng.integers(0, n, 3) if leave_one_out else None
    rows, scores = search(queries, database, k, block_rows, exclude)
    expected_rows, expected_scores = exact_ranking(queries, database, k, exclude)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(scores, expected_scores)


def test_float32_alone_would_rank_these_otherwise():
    rng = np.random.default_rng(0)
    database = near_ties(rng, 4000, 64)
    queries = rng.integers(-(2**19), 2**19, (5, 64)).astype(np.float32)
    exact = queries.astype(np.float64) @ database.T.astype(np.float64)
    expected = np.argsort(-exact.astype(np.float32), axis=1, kind="stable")[:, :50]
    single = np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :50]
    assert (single != expected).any()
    np.testing.assert_array_equal(search(queries, database, 50, 512)[0], expected)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("n_queries", [1, 60])
def test_ranks_are_the_same_in_threads_and_without(n_queries, bounded):
    rng = np.random.default_rng(n_queries)
    database = near_ties(rng, 6000, 64)
    queries = rng.integers(-(2**19), 2**19, (n_queries, 64)).astype(np.float32)
    exact = (queries.astype(np.float64) @ database.T.astype(np.float64)).astype(np.float32)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :60]
    longest = np.linalg.norm(database.astype(np.float64), axis=1).max() * 1.01 if bounded else None
    rows, scores = search(queries, database, 60, 512, longest=longest)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, expected, axis=1))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e9])
@pytest.mark.parametrize("dim", [1, 3, 200])
def test_the_bound_holds(dim, scale):
    rng = np.random.default_rng(dim)
    queries = rng.standard_normal((2, dim)) * scale
    database = (rng.standard_normal((25, dim)) * scale).astype(np.float32)
    queries32, norms = candidates._as_float32(queries)
    rows32, row_norms = candidates._as_float32(database)
    assert (norms >= np.linalg.norm(queries, axis=1)).all()
    assert (row_norms >= np.linalg.norm(database.astype(np.float64), axis=1)).all()
    bound = candidates._error_bound(dim, norms, row_norms.max())
    product = queries32 @ rows32.T
    for q, r in np.ndindex(product.shape):
        pairs = zip(queries[q], database[r], strict=True)
        exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in pairs)
        assert abs(Fraction(float(product[q, r])) - exact) <= Fraction(bound[q])
    # A bound that is always true by being huge would make all rows candidates.
    if scale == 1:
        assert (bound < 1e-4 * math.sqrt(dim) * norms * row_norms.max()).all()


@pytest.mark.parametrize("step", [1, -1])
def test_long_rows_behind_short_ones_or_before_them(step):
    # Sums of large numbers that cancel to about what the short rows score, whose own error is
    # small: a floor by the length of the short rows alone would drop long ones that are better.
    rng = np.random.default_rng(8)
    short = np.zeros((3000, 64), np.float32)
    short[:, 0] = rng.integers(0, 50, 3000)
    long = rng.integers(-(2**20), 2**20, (3000, 64))
    queries = rng.integers(-(2**5), 2**5, (2, 64))
    queries[:, 0] = 1
    long[:, 0] += rng.integers(30, 70, 3000) - long @ queries[0]
    long = long[np.abs(long[:, 0]) < 2**24]
    assert 50 < len(long) < 500  # no more than are kept
    database = np.concatenate([short, long.astype(np.float32)])[::step]
    exact = queries.astype(np.int64) @ database.T.astype(np.int64)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :4]
    rows, scores = search(queries[:1], database, 4, 256)
    np.testing.assert_array_equal(rows, expected[:1])
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, expected, axis=1)[:1])


def test_few_rows_are_candidates():
    rng = np.random.default_rng(1)
    database = rng.standard_normal((20_000, 128)).astype(np.float32)
    found, _ = find_candidates(rng.standard_normal((6, 128)), database, 100, 1000)
    assert all(100 <= len(rows) <= 110 for rows in found)
    assert all(len(set(rows)) == len(rows) for rows in found)


def test_queries_with_too_many_near_ties_are_left_to_float64():
    rng = np.random.default_rng(2)
    database = np.repeat(rng.standard_normal((1, 32)), 5000, axis=0).astype(np.float32)
    database[4000, 0] += 1
    queries = np.concatenate([np.zeros((1, 32)), rng.standard_normal((1, 32)), np.eye(1, 32)])
    assert find_candidates(queries, database, 5, 400)[0] == [None] * 3
    rows, _ = search(queries, database, 5, 400)
    np.testing.assert_array_equal(rows[0], np.arange(5))
    np.testing.assert_array_equal(rows[2], [4000, 0, 1, 2, 3])


def test_one_query_with_near_ties_beside_others():
    rng = np.random.default_rng(3)
    database = rng.standard_normal((6000, 16)).astype(np.float32)
    queries = rng.standard_normal((4, 16))
    queries[2] = 0
    found, _ = find_candidates(queries, database, 3, 500)
    assert [rows is None for rows in found] == [False, False, True, False]
    exact = (queries @ database.T.astype(np.float64)).astype(np.float32)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(search(queries, database, 3, 500)[0], expected)
    own = np.array([7, 8, 0, 9])
    assert search(queries, database, 3, 500, own)[0][2].tolist() == [1, 2, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("query", [0.0, 1.0])
def test_names_a_bad_row_whatever_the_query(bad, query):
    database = np.random.default_rng(4).standard_normal((900, 8)).astype(np.float32)
    database[[701, 800], 3] = bad
    with pytest.raises(UserError, match="row 701 of the database descriptors holds NaN"):
        search(np.full((2, 8), query), database, 2, 128)


def test_lengths_that_leave_float32_products():
    rng = np.random.default_rng(5)
    database = rng.standard_normal((100, 4))
    database[50] = [0, 0, 0, 1e25]  # finite, but its square is not
    rows, scores = search(np.eye(4)[3:], database.astype(np.float32), 1)
    assert rows.item() == 50 and scores.item() == np.float32(1e25)
    with pytest.raises(UserError, match="too long to compare in float32"):
        search(1e20 * np.eye(4)[3:], database.astype(np.float32), 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_other_types(dtype):
    rng = np.random.default_rng(6)
    database = (rng.standard_normal((2000, 24)) * 100).astype(dtype)
    queries = rng.standard_normal((3, 24))
    exact = (queries @ database.T.astype(np.float64)).astype(np.float32)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(search(queries, database, 9, 300)[0], expected)


class Computed:
    """Rows that are made when they are read."""

    def __init__(self, rows):
        self._rows, self.shape = rows, rows.shape
        self.reads = []

    def __getitem__(self, item):
        found = self._rows[item].copy()
        self.reads.append(len(found))
        return found


def test_reads_blocks_and_chosen_rows_of_a_computed_database():
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((3000, 8)).astype(np.float32)
    database = Computed(rows)
    queries = rng.standard_normal((4, 8))
    for got, want in zip(search(queries, database, 5, 256), search(queries, rows, 5), strict=True):
        np.testing.assert_array_equal(got, want)
    assert max(database.reads) == 256
    assert sum(database.reads) < 3000 + 4 * 20
