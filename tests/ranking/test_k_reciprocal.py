"""k-reciprocal re-ranking against a loop over sets, as the paper states it."""

import math

import numpy as np
import pytest

from darac_tf.ranking.exact_search import search
from darac_tf.ranking.k_reciprocal import k_reciprocal


def clusters(count, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, dim))
    rows = centres[np.arange(count) % 3] + 0.5 * rng.normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def loop_distances(points, k1, k2, weight):
    """Distances of point 0 to the others: sets and dictionaries, one pair at a time."""
    n = len(points)
    squared = [
        [float(np.sum((points[i].astype(float) - points[j].astype(float)) ** 2)) for j in range(n)]
        for i in range(n)
    ]
    scaled = [[value / (max(row) or 1.0) for value in row] for row in squared]
    near = [sorted(range(n), key=lambda j, i=i: (j != i, scaled[i][j], j)) for i in range(n)]

    def reciprocal(i, k):
        return {j for j in near[i][: k + 1] if i in near[j][: k + 1]}

    encodings = []
    for i in range(n):
        own = reciprocal(i, k1)
        extended = set(own)
        for j in own:
            half = reciprocal(j, round(k1 / 2))
            if len(half & own) > 2 / 3 * len(half):
                extended |= half
        weights = {j: math.exp(-scaled[i][j]) for j in extended}
        encodings.append({j: w / sum(weights.values()) for j, w in weights.items()})
    averaged = [
        {m: sum(encodings[j].get(m, 0) for j in near[i][:k2]) / len(near[i][:k2]) for m in range(n)}
        for i in range(n)
    ]
    final = []
    for j in range(1, n):
        shared = sum(min(averaged[0][m], averaged[j][m]) for m in range(n))
        final.append((1 - weight) * (1 - shared / (2 - shared)) + weight * scaled[0][j])
    return final


@pytest.mark.parametrize(
    ("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.3), (5, 3, 0.0), (1, 2, 1.0), (7, 100, 0.5)]
)
@pytest.mark.parametrize("shortlist", [1, 12, 100])
def test_against_the_loop(k1, k2, weight, shortlist):
    queries, database = clusters(4, seed=1), clusters(30)
    rows, scores = search(queries, database)
    found, new = k_reciprocal(queries, database, rows, scores, shortlist, k1, k2, weight)
    for query in range(4):
        near = rows[query, :shortlist]
        points = np.concatenate([queries[query : query + 1], database[near]])
        expected = np.array(loop_distances(points, k1, k2, weight))
        order = np.argsort(expected, kind="stable")
        np.testing.assert_allclose(new[query, : len(near)], 1 - expected[order], atol=1e-5)
        by_row = dict(zip(near, expected, strict=True))
        np.testing.assert_allclose(
            [by_row[row] for row in found[query, : len(near)]], expected[order], atol=1e-5
        )
        np.testing.assert_array_equal(found[query, len(near) :], rows[query, len(near) :])
    assert (np.diff(new, axis=1) <= 1e-6).all()


def test_weight_1_keeps_the_order_and_copies_tie_in_it():
    queries, database = clusters(2, seed=3), np.repeat(clusters(5), 2, axis=0)
    rows, scores = search(queries, database)
    found, _ = k_reciprocal(queries, database, rows, scores, weight=1.0)
    np.testing.assert_array_equal(found, rows)


def test_equal_images_and_padding():
    same = np.ones((4, 1), np.float32)
    rows, scores = k_reciprocal(same[:1], same, np.array([[0, 1, -1]]), np.ones((1, 3)))
    np.testing.assert_array_equal(rows, [[0, 1, -1]])
    assert np.isfinite(scores).all()


def test_what_was_not_found_stays_at_the_end():
    queries, database = clusters(2, seed=1), clusters(8)
    rows, scores = search(queries, database)
    # The last two could not be read: they are listed with score -inf.
    scores[:, 6:] = -np.inf
    found, new = k_reciprocal(queries, database, rows, scores)
    fewer = k_reciprocal(queries, database, rows[:, :6], scores[:, :6])
    np.testing.assert_array_equal(found[:, :6], fewer[0])
    np.testing.assert_array_equal(new[:, :6], fewer[1])
    np.testing.assert_array_equal(found[:, 6:], rows[:, 6:])
    assert (new[:, 6:] == -np.inf).all()


def test_refuses_bad_arguments():
    for options in ({"k1": 0}, {"k2": 0}, {"shortlist": 0}, {"weight": 1.5}):
        with pytest.raises(ValueError, match="Received"):
            k_reciprocal(np.ones((1, 2)), np.ones((1, 2)), [[0]], [[1.0]], **options)
