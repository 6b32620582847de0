"""Query expansion and database augmentation against plain loops."""

import doctest
import tracemalloc

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.ranking import query_expansion
from darac_tf.ranking.exact_search import search
from darac_tf.ranking.query_expansion import alpha_expansion, augment_database, average_expansion
from darac_tf.rows import unit_rows


def vectors(count, dim=6, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((count, dim)))


def nearest(query, database, leave_out=None):
    order = [i for i in range(len(database)) if i != leave_out]
    return sorted(order, key=lambda i: (-float(np.dot(query, database[i])), i))


def summed(own, database, near, weights):
    """`L2(own + sum of weight * row)`, one number at a time."""
    total = [float(x) for x in own]
    for row, weight in zip(near, weights, strict=True):
        total = [t + weight * float(x) for t, x in zip(total, database[row], strict=True)]
    length = sum(t * t for t in total) ** 0.5
    return [t / length for t in total]


@pytest.mark.parametrize("n", [1, 3, 9])
def test_average_expansion(n):
    queries, database = vectors(4, seed=1), vectors(9)
    rows, _ = search(queries, database, top_k=n)
    found = average_expansion(queries, database, rows)
    for query in range(4):
        near = nearest(queries[query], database)[:n]
        expected = summed(queries[query], database, near, [1.0] * n)
        np.testing.assert_allclose(found[query], expected, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_alpha_expansion_ignores_negative_similarities(alpha):
    queries, database = vectors(4, seed=1), vectors(9)
    rows, scores = search(queries, database)  # all ranks: some similarities are negative
    assert scores.min() < 0
    found = alpha_expansion(queries, database, rows, scores, alpha)
    for query in range(4):
        near = nearest(queries[query], database)
        similarities = [float(np.dot(queries[query], database[row])) for row in near]
        weights = [s**alpha if s > 0 else 0.0 for s in similarities]
        expected = summed(queries[query], database, near, weights)
        np.testing.assert_allclose(found[query], expected, atol=1e-6)


def test_alpha_0_is_the_average_expansion():
    queries, database = np.abs(vectors(3, seed=2)), np.abs(vectors(7))
    rows, scores = search(queries, database, top_k=4)
    np.testing.assert_array_equal(
        alpha_expansion(queries, database, rows, scores, 0.0),
        average_expansion(queries, database, rows),
    )


def test_padding_expands_nothing():
    queries, database = vectors(1), vectors(3, seed=1)
    expected = summed(queries[0], database, [2], [1.0])
    found = average_expansion(queries, database, [[2, -1]])
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    found = average_expansion(queries, database, np.empty((1, 0), int))
    np.testing.assert_allclose(found, queries, atol=1e-6)


def test_one_image_and_opposite_ones():
    one = vectors(1)
    rows, scores = search(one, one)
    np.testing.assert_allclose(average_expansion(one, one, rows), one, atol=1e-6)
    np.testing.assert_allclose(alpha_expansion(one, one, rows, scores), one, atol=1e-6)
    assert (average_expansion(one, -one, rows) == 0).all()


@pytest.mark.parametrize("block_rows", [1, 4, 100])
@pytest.mark.parametrize("n", [1, 3, 50])
def test_database_augmentation(block_rows, n, tmp_path):
    database = vectors(9)
    database[7] = database[2]
    np.save(tmp_path / "x.npy", database)
    found = augment_database(np.load(tmp_path / "x.npy", mmap_mode="r"), n, block_rows)
    for row in range(9):
        near = nearest(database[row], database, leave_out=row)[:n]
        weights = [(len(near) - rank) / (len(near) + 1) for rank in range(len(near))]
        expected = summed(database[row], database, near, weights)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_one_image_has_nothing_to_be_augmented_with():
    database = vectors(1)
    np.testing.assert_allclose(augment_database(database, 3), database, atol=1e-6)


def test_memory_does_not_grow_with_the_square():
    database = vectors(4000, 4)
    tracemalloc.start()
    augment_database(database, 2, block_rows=256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 4000^2 float32 scores are 64 MB.
    assert peak < 30e6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, d: average_expansion(q, d, [[0], [7]]), r"rows must lie in \[-1, 5\)"),
        (lambda q, d: average_expansion(q, d, [[0], [-2]]), r"rows must lie in \[-1, 5\)"),
        (lambda q, d: average_expansion(q, d, [[0]]), r"must be \(2, n\)"),
        (lambda q, d: alpha_expansion(q, d, [[0], [1]], [[0.5]]), r"must be \(2, n\)"),
        (lambda q, d: alpha_expansion(q, d, [[0], [1]], [[0.5]] * 2, -1), "Received: alpha=-1"),
        (lambda q, d: augment_database(d, 0), "Received: n=0"),
        (lambda q, d: augment_database(d, 1, block_rows=0), "block_rows=0"),
    ],
)
def test_refuses_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(vectors(2, 3), vectors(5, 3))


def test_refuses_nan_and_other_dimensions():
    broken = vectors(5, 3)
    broken[2, 1] = np.nan
    with pytest.raises(UserError, match="row 2 of the database descriptors"):
        augment_database(broken, 2)
    with pytest.raises(UserError, match="query descriptors"):
        average_expansion(broken, vectors(5, 3), np.zeros((5, 1), int))
    with pytest.raises(UserError, match="database descriptors"):
        average_expansion(vectors(1, 3), broken, [[2]])
    with pytest.raises(UserError, match="queries have 2 dimensions but the database has 3"):
        average_expansion(vectors(1, 2), vectors(5, 3), [[2]])


def test_examples():
    result = doctest.testmod(query_expansion)
    assert result.attempted and not result.failed
