"""Approximate search, and how much of the exact one it finds."""

import doctest
import sys

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.ranking import approximate_search as approximate
from darac_tf.ranking.approximate_search import approximate_search, recall_against_exact
from darac_tf.ranking.exact_search import search
from darac_tf.rows import unit_rows


def unit(*shape, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal(shape))


@pytest.fixture(name="faiss")
def _faiss():
    return pytest.importorskip("faiss")


@pytest.mark.usefixtures("faiss")
def test_a_flat_index_is_exact(tmp_path):
    database, queries = unit(2000, 32), unit(9, 32, seed=1)
    np.save(tmp_path / "x.npy", database)
    memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows, scores = approximate_search(queries, memmap, 20, "Flat")
    exact_rows, exact_scores = search(queries, database, 20)
    assert rows.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(rows, exact_rows)
    np.testing.assert_allclose(scores, exact_scores, atol=1e-6)


@pytest.mark.usefixtures("faiss")
@pytest.mark.parametrize(("index", "least"), [("HNSW32", 0.8), ("IVF16,Flat", 0.05)])
def test_the_recall_of_indices_that_miss_rows(index, least):
    database, queries = unit(3000, 16), unit(20, 16, seed=1)
    rows, scores = approximate_search(queries, database, 10, index)
    recall = recall_against_exact(rows, search(queries, database, 10)[0])
    assert least <= recall <= 1
    # By inner product: the first is the longest, the best first.
    assert (np.diff(scores, axis=1) <= 0).all()
    products = np.einsum("qd,qkd->qk", queries, database[rows])
    np.testing.assert_allclose(scores, np.where(rows < 0, -np.inf, products), atol=1e-5)


@pytest.mark.usefixtures("faiss")
def test_places_without_a_row():
    # Some of 40 clusters hold fewer than 30 of 1600 rows, and only one is looked into.
    rows, scores = approximate_search(unit(5, 8, seed=1), unit(1600, 8), 400, "IVF40,Flat")
    assert (rows == -1).any()
    assert (scores[rows == -1] == -np.inf).all() and np.isfinite(scores[rows >= 0]).all()


def test_an_index_is_trained_on_all_parts_of_a_sorted_database():
    rows = approximate._spread(1000, 100, held_out=[0, 999])
    assert (len(rows), rows[0], rows[-1]) == (98, 10, 988) and np.diff(rows).max() < 12


@pytest.mark.usefixtures("faiss")
def test_more_ranks_than_rows_gives_all():
    rows, _ = approximate_search(unit(1, 8, seed=1), unit(5, 8), 100, "Flat")
    assert sorted(rows[0]) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("faiss")
@pytest.mark.parametrize(
    ("queries", "database", "index", "message"),
    [
        (unit(1, 8), unit(5, 8), "NoSuchIndex", "can't make an index 'NoSuchIndex'"),
        (unit(1, 8), unit(5, 8), "IVF64,Flat", "5 images are too few"),
        (unit(1, 7), unit(5, 8), "Flat", "7 dimensions but the database has 8"),
        (unit(1, 8), unit(0, 8), "Flat", "no image to rank"),
        (unit(1, 8), np.full((3, 8), np.nan), "Flat", "row 0 of the database descriptors"),
        (np.full((1, 8), np.inf), unit(3, 8), "Flat", "row 0 of the query descriptors"),
        (unit(1, 8), np.full((300, 8), np.nan), "IVF2,Flat", "row 0 of the database descriptors"),
    ],
)
def test_refuses_what_a_user_can_put_right(queries, database, index, message):
    with pytest.raises(UserError, match=message):
        approximate_search(queries, database, 2, index)


def test_says_how_to_install_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu"):
        approximate_search(unit(1, 8), unit(5, 8), 2)


def test_recall_is_the_share_of_the_exact_ranks():
    exact = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert recall_against_exact([[4, 3, 2, 1], [5, 6, -1, -1]], exact) == 6 / 8
    assert recall_against_exact(exact, exact) == 1
    with pytest.raises(ValueError, match="Received"):
        recall_against_exact([[1]], exact)


def test_examples():
    result = doctest.testmod(approximate)
    assert result.attempted and not result.failed
