import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.ranking.exact_search import search


def _by_loop(queries, database, top_k=None, exclude=None):
    """Sorts a Python list by score; `sorted` is stable."""
    ranked = []
    for q, query in enumerate(queries):
        scores = [np.float32(np.dot(np.float64(query), np.float64(row))) for row in database]
        rows = [i for i in range(len(scores)) if exclude is None or i != exclude[q]]
        rows = sorted(rows, key=lambda i, scores=scores: -scores[i])[:top_k]
        ranked.append((rows, [scores[i] for i in rows]))
    return np.array([r for r, _ in ranked]), np.array([s for _, s in ranked], np.float32)


def _unit(rng, *shape):
    x = rng.standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**16),
    n=st.integers(2, 40),
    top_k=st.none() | st.integers(1, 45),
    block_rows=st.integers(1, 45),
    leave_one_out=st.booleans(),
)
def test_agrees_with_a_stable_sort_however_blocked(seed, n, top_k, block_rows, leave_one_out):
    rng = np.random.default_rng(seed)
    # Entries of -1, 0 and 1 make ties, zero and negative scores the rule.
    database = rng.integers(-1, 2, (n, 3)).astype(np.float32)
    queries = rng.integers(-1, 2, (4, 3)).astype(np.float32)
    exclude = rng.integers(0, n, 4) if leave_one_out else None
    rows, scores = search(queries, database, top_k, block_rows, exclude)
    expected_rows, expected_scores = _by_loop(queries, database, top_k, exclude)
    assert rows.dtype == np.int64
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("block_rows", [1, 7, 37, 50, 101, 4096])
def test_copies_of_a_descriptor_keep_database_order(block_rows):
    # Summed in float32, the products of these equal rows differ in their last bit.
    rng = np.random.default_rng(0)
    database = np.repeat(_unit(rng, 1, 1280), 101, axis=0)
    rows, scores = search(_unit(rng, 5, 1280), database, 40, block_rows)
    np.testing.assert_array_equal(rows, np.tile(np.arange(40), (5, 1)))
    assert (scores == scores[:, :1]).all()


def test_agrees_with_argsort_on_descriptors():
    rng = np.random.default_rng(1)
    queries, database = _unit(rng, 9, 64), _unit(rng, 700, 64)
    rows, scores = search(queries, database, block_rows=64)
    product = queries.astype(np.float64) @ database.T.astype(np.float64)
    np.testing.assert_array_equal(rows, np.argsort(-product, axis=1, kind="stable"))
    np.testing.assert_allclose(scores, -np.sort(-product, axis=1), atol=1e-7)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_zero_and_negative_zero_are_equal():
    # -1e-60 rounds to -0.0 in float32.
    rows, scores = search(np.float32([[1e-30, 0]]), np.float32([[-1e-30, 0], [0, 1], [1, 0]]))
    np.testing.assert_array_equal(rows, [[2, 0, 1]])
    np.testing.assert_array_equal(scores, np.float32([[1e-30, 0, 0]]))


def test_reads_a_memmap(tmp_path):
    rng = np.random.default_rng(2)
    database = _unit(rng, 100, 16)
    np.save(tmp_path / "x.npy", database)
    memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = search(database[:3], database, 5)
    for got, want in zip(search(database[:3], memmap, 5, block_rows=9), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_leaves_out_the_query_itself():
    database = _unit(np.random.default_rng(3), 20, 8)
    own = np.arange(20)
    rows, _ = search(database, database, exclude=own, block_rows=6)
    assert rows.shape == (20, 19)
    assert not (rows == own[:, None]).any()
    assert all(np.unique(row).size == 19 for row in rows)


@pytest.mark.parametrize(("exclude", "expected"), [(None, 6), ([0, 1], 5)])
def test_more_ranks_than_rows_gives_all(exclude, expected):
    database = _unit(np.random.default_rng(4), 6, 4)
    rows, scores = search(database[:2], database, top_k=100, exclude=exclude)
    assert rows.shape == scores.shape == (2, expected)


def test_memory_does_not_grow_with_queries_times_database():
    rng = np.random.default_rng(5)
    queries, database = _unit(rng, 50, 4), _unit(rng, 100_000, 4)
    tracemalloc.start()
    search(queries, database, top_k=10, block_rows=1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 50 x 100,000 float32 scores alone are 20 MB.
    assert peak < 6e6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_names_the_first_bad_row(value):
    database = _unit(np.random.default_rng(6), 30, 4)
    broken = database.copy()
    broken[[17, 25], 2] = value
    with pytest.raises(UserError, match="row 17 of the database descriptors holds NaN"):
        search(database[:2], broken, block_rows=8)
    with pytest.raises(UserError, match="row 17 of the query descriptors holds NaN"):
        search(broken, database)


def test_refuses_other_dimensions():
    with pytest.raises(UserError, match="queries have 3 dimensions but the database has 4"):
        search(np.zeros((1, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize(("n", "exclude"), [(0, None), (1, [0])])
def test_refuses_a_database_without_another_image(n, exclude):
    with pytest.raises(UserError, match="no image to rank"):
        search(np.zeros((1, 3)), np.zeros((n, 3)), exclude=exclude)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "at least 1. Received: 0 and"),
        ({"block_rows": 0}, "at least 1. Received: None and 0"),
        ({"exclude": [1]}, "exclude needs one row a query"),
        ({"exclude": [0, 5]}, "exclude must hold rows in .0, 5."),
        ({"exclude": [0, -1]}, "exclude must hold rows in .0, 5."),
        ({"queries": np.zeros(3)}, "must be .rows, dim."),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        search(**({"queries": np.zeros((2, 3)), "database": np.zeros((5, 3))} | arguments))
