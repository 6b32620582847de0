"""Query expansion in leave-one-out settings, other weights, copies, and memory maps."""

import doctest
import tracemalloc

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.ranking import query_expansion
from darac_tf.ranking.exact_search import search
from darac_tf.ranking.k_reciprocal import k_reciprocal
from darac_tf.ranking.query_expansion import (
    alpha_expansion,
    augment_database,
    average_expansion,
)
from darac_tf.rows import unit_rows


def unit(*shape, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal(shape))


def summed(own, database, weighted):
    """`L2(own + sum of weight * row)`, one number at a time."""
    total = [float(x) for x in own]
    for row, weight in weighted:
        total = [t + weight * float(x) for t, x in zip(total, database[row], strict=True)]
    length = sum(t * t for t in total) ** 0.5
    return [t / length for t in total]


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_the_query_s_own_row_is_not_a_neighbour(alpha):
    database = unit(12, 5)
    database[4] = database[3]  # a copy of a query counts, the query itself does not
    rows, scores = search(database, database, 6)
    own = np.arange(12)
    found = alpha_expansion(database, database, rows, scores, alpha, n=3, exclude=own)
    for q in range(12):
        others = [(r, s) for r, s in zip(rows[q], scores[q], strict=True) if r != q][:3]
        weighted = [(r, max(float(s), 0.0) ** alpha) for r, s in others]
        np.testing.assert_allclose(found[q], summed(database[q], database, weighted), atol=1e-6)
    left_out = search(database, database, 3, exclude=own)
    np.testing.assert_allclose(
        found, alpha_expansion(database, database, *left_out, alpha), atol=1e-6
    )
    if alpha == 0:
        positive = np.abs(database)
        averaged = average_expansion(positive, positive, rows, n=3, exclude=own)
        weightless = alpha_expansion(positive, positive, rows, scores, 0, n=3, exclude=own)
        np.testing.assert_array_equal(averaged, weightless)


def test_n_counts_ranks():
    queries, database = unit(3, 4, seed=1), unit(6, 4)
    rows, _ = search(queries, database)
    np.testing.assert_allclose(average_expansion(queries, database, rows, n=0), queries, atol=1e-6)
    two = average_expansion(queries, database, rows, n=2)
    for q in range(3):
        expected = summed(queries[q], database, [(r, 1.0) for r in rows[q, :2]])
        np.testing.assert_allclose(two[q], expected, atol=1e-6)
    everything = average_expansion(queries, database, rows)
    np.testing.assert_array_equal(average_expansion(queries, database, rows, n=99), everything)


def test_one_image_and_opposite_ones():
    one = unit(1, 4)
    rows, scores = search(one, one)
    np.testing.assert_allclose(average_expansion(one, one, rows), one, atol=1e-6)
    np.testing.assert_allclose(alpha_expansion(one, one, rows, scores), one, atol=1e-6)
    assert (average_expansion(one, -one, rows) == 0).all()


@pytest.mark.parametrize("weighting", ["rank", "equal", "similarity"])
@pytest.mark.parametrize(("n", "block_rows"), [(1, 3), (4, 5), (4, 100), (50, 4)])
def test_the_weights_of_database_augmentation(weighting, n, block_rows):
    database = unit(11, 3)
    database[7] = database[2]
    found = augment_database(database, n, block_rows, weighting, alpha=2.0)
    for own in range(11):
        products = [float(np.dot(database[own].astype(float), row)) for row in database]
        near = [i for i in range(11) if i != own]
        near = sorted(near, key=lambda i, products=products: (-np.float32(products[i]), i))[:n]
        weights = {
            "rank": [(len(near) - r) / (len(near) + 1) for r in range(len(near))],
            "equal": [1.0] * len(near),
            "similarity": [max(products[i], 0.0) ** 2 for i in near],
        }[weighting]
        expected = summed(database[own], database, zip(near, weights, strict=True))
        np.testing.assert_allclose(found[own], expected, atol=1e-6)


def test_augments_a_memory_map_into_another(tmp_path):
    np.save(tmp_path / "x.npy", unit(300, 8))
    database = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", np.float32, (300, 8))
    assert augment_database(database, 3, 64, out=out) is out
    np.testing.assert_allclose(out, augment_database(np.asarray(database), 3), atol=1e-6)


def test_memory_does_not_grow_with_the_square():
    database = unit(4000, 4)
    out = np.empty_like(database)
    tracemalloc.start()
    augment_database(database, 2, block_rows=256, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 4000^2 float32 scores are 64 MB.
    assert peak < 30e6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, d: average_expansion(q, d, [[0], [7]]), r"rows must lie in \[-1, 5\)"),
        (lambda q, d: average_expansion(q, d, [[0]]), r"must be \(2, k\)"),
        (lambda q, d: average_expansion(q, d, [[0], [1]], n=-1), "Received: n=-1"),
        (lambda q, d: average_expansion(q, d, [[0], [1]], exclude=[1]), "one row a query"),
        (lambda q, d: average_expansion(q[:, 1:], d, [[0], [1]]), "one dimension"),
        (lambda q, d: augment_database(d, 1, weighting="half"), "weighting must be one of"),
        (lambda q, d: augment_database(d, 1, out=d), "apart from the database"),
        (lambda q, d: augment_database(d, 1, out=np.empty((5, 3))), "apart from the database"),
    ],
)
def test_refuses_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(unit(2, 3), unit(5, 3))


def test_refuses_nan():
    broken = unit(5, 3)
    broken[2, 1] = np.nan
    with pytest.raises(UserError, match="row 2 of the database descriptors"):
        augment_database(broken, 2)
    with pytest.raises(UserError, match="query descriptors"):
        average_expansion(broken, unit(5, 3), np.zeros((5, 1), int))
    with pytest.raises(UserError, match="database descriptors"):
        average_expansion(unit(1, 3), broken, [[2]])


def test_reranking_leaves_what_was_not_found_at_the_end():
    queries, database = unit(2, 4, seed=1), unit(8, 4)
    rows, scores = search(queries, database)
    # The last two could not be read: they are listed with score -inf.
    scores[:, 6:] = -np.inf
    found, new = k_reciprocal(queries, database, rows, scores)
    fewer = k_reciprocal(queries, database, rows[:, :6], scores[:, :6])
    np.testing.assert_array_equal(found[:, :6], fewer[0])
    np.testing.assert_array_equal(new[:, :6], fewer[1])
    np.testing.assert_array_equal(found[:, 6:], rows[:, 6:])
    assert (new[:, 6:] == -np.inf).all()


def test_examples():
    result = doctest.testmod(query_expansion)
    assert result.attempted and not result.failed
