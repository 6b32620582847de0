"""Query expansion and database augmentation against plain loops."""

import numpy as np
import pytest

from darac_tf.ranking.exact_search import search
from darac_tf.ranking.query_expansion import (
    alpha_expansion,
    augment_database,
    average_expansion,
)


def unit(vector):
    norm = sum(float(x) ** 2 for x in vector) ** 0.5
    return [float(x) / norm for x in vector]


def vectors(count, dim=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def nearest(query, database, leave_out=None):
    order = [i for i in range(len(database)) if i != leave_out]
    return sorted(order, key=lambda i: (-float(np.dot(query, database[i])), i))


def loop(query, database, near, weights):
    total = [float(x) for x in query]
    for row, weight in zip(near, weights, strict=True):
        for axis in range(len(total)):
            total[axis] += weight * float(database[row][axis])
    return unit(total)


@pytest.mark.parametrize("n", [1, 3, 9])
def test_average_expansion(n):
    queries, database = vectors(4, seed=1), vectors(9)
    rows, _ = search(queries, database, top_k=n)
    found = average_expansion(queries, database, rows)
    for query in range(4):
        near = nearest(queries[query], database)[:n]
        expected = loop(queries[query], database, near, [1.0] * n)
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
        np.testing.assert_allclose(
            found[query], loop(queries[query], database, near, weights), atol=1e-6
        )


def test_alpha_0_is_the_average_expansion():
    queries, database = np.abs(vectors(3, seed=2)), np.abs(vectors(7))
    rows, scores = search(queries, database, top_k=4)
    np.testing.assert_allclose(
        alpha_expansion(queries, database, rows, scores, 0.0),
        average_expansion(queries, database, rows),
        atol=1e-6,
    )


def test_padding_expands_nothing():
    queries, database = vectors(1), vectors(3, seed=1)
    rows = np.array([[2, -1]])
    expected = loop(queries[0], database, [2], [1.0])
    np.testing.assert_allclose(average_expansion(queries, database, rows)[0], expected, atol=1e-6)


@pytest.mark.parametrize("block_rows", [1, 4, 100])
@pytest.mark.parametrize("n", [1, 3, 50])
def test_database_augmentation(block_rows, n):
    database = vectors(9)
    found = augment_database(database, n, block_rows)
    for row in range(9):
        near = nearest(database[row], database, leave_out=row)[:n]
        weights = [(len(near) - rank) / (len(near) + 1) for rank in range(len(near))]
        expected = loop(database[row], database, near, weights)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_one_image_has_nothing_to_be_augmented_with():
    database = vectors(1)
    np.testing.assert_allclose(augment_database(database, 3), database, atol=1e-6)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="Received: alpha=-1"):
        alpha_expansion(vectors(1), vectors(1), np.array([[0]]), np.array([[0.5]]), -1)
    with pytest.raises(ValueError, match="Received: n=0"):
        augment_database(vectors(3), 0)
