"""From vectors to rankings: what search, expansion, re-ranking and bad images do together."""

from types import SimpleNamespace

import numpy as np
import pytest

from darac_tf.describing.combination import Vectors
from darac_tf.errors import UserError
from darac_tf.ranking.exact_search import search
from darac_tf.ranking.k_reciprocal import k_reciprocal
from darac_tf.ranking.query_expansion import alpha_expansion, augment_database, average_expansion
from darac_tf.ranking.rank import Rankings, RankingSettings, _without, rank
from darac_tf.rows import unit_rows

ROWS = unit_rows(np.random.default_rng(0).standard_normal((20, 4)) + 0.5)
# 16 images to search among, and four queries behind them; or four of the 16 themselves.
APART = SimpleNamespace(n_database=16, queries=np.arange(16, 20), exclude=None)
WITHIN = SimpleNamespace(n_database=16, queries=np.arange(4), exclude=np.arange(4))


def ranked(task, usable=None, vectors=ROWS, **settings):
    usable = np.ones(20, bool) if usable is None else usable
    return rank(Vectors([vectors]), task, RankingSettings(**settings), usable)


@pytest.mark.parametrize("task", [APART, WITHIN])
@pytest.mark.parametrize("index", [None, "Flat"])
@pytest.mark.parametrize("top_k", [None, 5, 14])
def test_bad_images_come_last_and_find_nothing(task, index, top_k):
    if index:
        pytest.importorskip("faiss")
    usable = np.ones(20, bool)
    usable[[2, 9, 11, 18]] = False
    vectors = np.where(usable[:, None], ROWS, np.float32(0))
    found = ranked(task, usable, vectors, top_k=top_k, faiss_index=index)
    for query, place in enumerate(task.queries):
        if not usable[place]:
            assert (found.rows[query] == -1).all() and (found.scores[query] == -np.inf).all()
            continue
        products = ROWS[:16] @ ROWS[place]
        others = [row for row in range(16) if task.exclude is None or row != place]
        good = sorted((row for row in others if usable[row]), key=lambda row: -products[row])
        expected = (good + [row for row in others if not usable[row]])[:top_k]
        np.testing.assert_array_equal(found.rows[query], expected)
        scores = np.where(usable[expected], products[expected], -np.inf)
        np.testing.assert_allclose(found.scores[query], scores, atol=1e-6)
    if index:
        (note,) = found.notes
        assert note.startswith("faiss Flat finds 100.00 % of the exact first ")


@pytest.mark.parametrize("task", [APART, WITHIN])
@pytest.mark.parametrize("expansion", ["average", "alpha"])
@pytest.mark.parametrize("augmentation_n", [0, 2])
def test_expansion_is_by_the_augmented_database_and_never_by_the_query(
    task, expansion, augmentation_n
):
    alpha = {"expansion_alpha": 2.0} if expansion == "alpha" else {}
    found = ranked(
        task, expansion=expansion, expansion_n=3, augmentation_n=augmentation_n, top_k=7, **alpha
    )
    queries, database = ROWS[task.queries], ROWS[:16]
    if augmentation_n:
        database = augment_database(database, augmentation_n)
    rows, scores = search(queries, database, 3, exclude=task.exclude)
    if expansion == "average":
        queries = average_expansion(queries, database, rows)
    else:
        queries = alpha_expansion(queries, database, rows, scores, 2.0)
    expected = search(queries, database, 7, exclude=task.exclude)
    np.testing.assert_array_equal(found.rows, expected[0])
    np.testing.assert_allclose(found.scores, expected[1], atol=1e-6)


def test_reranking_is_of_what_could_be_read():
    usable = np.ones(20, bool)
    usable[[3, 5]] = False
    before, after = (ranked(APART, usable, rerank=kind) for kind in ("none", "k_reciprocal"))
    expected = k_reciprocal(ROWS[16:], ROWS[:16], before.rows, before.scores)
    np.testing.assert_array_equal(after.rows, expected[0])
    np.testing.assert_allclose(after.scores, expected[1], atol=1e-6)
    assert (after.rows != before.rows).any()
    np.testing.assert_array_equal(after.rows[:, -2:], [[3, 5]] * 4)


def test_images_to_come_last_are_in_the_order_of_the_database_before_the_padding():
    rows, scores = np.array([[4, 2, 0, 1, -1]]), np.float32([[0.9, 0.8, 0.7, 0.6, -np.inf]])
    is_last = np.array([False, True, False, False, True])
    moved = Rankings(rows, scores, ("note",)).with_last(is_last)
    np.testing.assert_array_equal(moved.rows, [[2, 0, 1, 4, -1]])
    np.testing.assert_array_equal(moved.scores, np.float32([[0.8, 0.7] + [-np.inf] * 3]))
    assert moved.notes == ("note",)
    np.testing.assert_array_equal(Rankings(rows, scores).with_last(is_last, 3).rows, [[2, 0, 1]])


def test_an_index_finds_a_hundred_ranks_unless_told():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(1)
    vectors = unit_rows(rng.standard_normal((300, 4)))
    task = SimpleNamespace(n_database=300, queries=np.arange(5), exclude=np.arange(5))
    usable = np.ones(300, bool)
    found = ranked(task, usable, vectors, faiss_index="Flat")
    assert found.rows.shape == (5, 100) and not (found.rows == np.arange(5)[:, None]).any()
    # One of 16 clusters holds about 19 of 300 images: most of a hundred are missed.
    (note,) = ranked(task, usable, vectors, faiss_index="IVF16,Flat").notes
    share = float(note.split()[3])
    assert "of the exact first 100 ranks of 5 queries" in note and 5 < share < 60


def test_where_an_index_misses_the_query_its_last_rank_goes():
    rows, scores = np.array([[3, 1, 2], [0, 5, 4]]), np.float32([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]])
    found = _without(rows, scores, np.array([1, 7]))
    np.testing.assert_array_equal(found[0], [[3, 2], [0, 5]])
    np.testing.assert_array_equal(found[1], np.float32([[0.9, 0.7], [0.6, 0.5]]))


def test_refuses_settings_that_do_not_fit():
    with pytest.raises(UserError, match="--expansion_alpha is for --expansion=alpha"):
        ranked(APART, expansion="average", expansion_alpha=2.0)
    for unknown in ({"expansion": "most"}, {"rerank": "most"}):
        with pytest.raises(ValueError, match=r"unknown expansion or re-ranking\. Received"):
            ranked(APART, **unknown)
