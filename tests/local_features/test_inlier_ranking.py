"""Ranking by inliers against a loop: ties, depth, padding, and the query left out."""

from dataclasses import replace

import numpy as np
import pytest

from darac_tf.local_features.matching import match, rank_by_inliers, rerank_by_inliers
from darac_tf.local_features.store import no_features
from tests.local_features.local_helpers import random_features


def joined(scene, other, shared):
    """The first features of one image, and those behind them of another."""
    parts = {
        name: np.concatenate([getattr(scene, name)[:shared], getattr(other, name)[shared:]])
        for name in ("descriptors", "locations", "attention")
    }
    return replace(scene, **parts)


def database():
    """Images that share their first features with image 0: 40, 0, 20, 40, 0, 30, none, 12."""
    scene = random_features(40)
    images = []
    for number, shared in enumerate((40, 0, 20, 40, 0, 30)):
        other = random_features(40, seed=50 + number)
        images.append(joined(scene, other, shared))
    return [*images, no_features(8), joined(scene, no_features(8), 12)]


QUERIES = [random_features(40), random_features(40, seed=51), no_features(8)]


def loop_rerank(rows, depth):
    images, all_rows, all_inliers = database(), [], []
    for query, row in zip(QUERIES, rows, strict=True):
        matched = [place for place, image in enumerate(row[:depth]) if image >= 0]
        inliers = [match(query, images[row[place]]).inliers for place in matched]
        order = sorted(range(len(matched)), key=lambda p, i=inliers: (-i[p], p))
        all_rows.append([row[p] for p in order] + list(row[len(matched) :]))
        all_inliers.append([inliers[p] for p in order] + [-1] * (len(row) - len(matched)))
    return all_rows, all_inliers


@pytest.mark.parametrize("depth", [1, 3, 6, 100, None])
def test_against_the_loop(depth):
    rng = np.random.default_rng(0)
    rows = np.array([rng.permutation(8) for _ in QUERIES])
    rows[1, -3:] = -1
    before = rows.copy()
    found = rerank_by_inliers(rows, QUERIES, database(), depth, progress=False)
    for values, expected in zip(found, loop_rerank(rows, depth), strict=True):
        np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(rows, before)


def test_most_inliers_first_and_ties_in_the_order_found():
    rows = np.array([[7, 3, 1, 5, 0, 2, 4, 6]])
    found, inliers = rerank_by_inliers(rows, QUERIES[:1], database(), progress=False)
    np.testing.assert_array_equal(found[0, :4], [3, 0, 5, 2])
    assert inliers[0, 0] == inliers[0, 1] == 40
    found, _ = rerank_by_inliers(rows, QUERIES[:1], database(), depth=2, progress=False)
    np.testing.assert_array_equal(found, [[3, 7, 1, 5, 0, 2, 4, 6]])


def test_the_whole_database_without_the_query():
    images = database()
    found, inliers = rank_by_inliers(QUERIES, images, progress=False)
    assert sorted(found[0]) == list(range(8)) and found[0, 0] == 0 and found[0, 1] == 3
    np.testing.assert_array_equal(found[2], np.arange(8))  # no features, no inliers
    without, _ = rank_by_inliers(QUERIES[:1], images, np.array([3]), progress=False)
    np.testing.assert_array_equal(without[0], [image for image in found[0] if image != 3])
    assert (inliers >= 0).all()


def test_refuses_bad_arguments():
    images = database()
    for rows, depth in (([[0]] * 3, 0), ([[0]], 5), ([[8]] * 3, 5), ([0, 1, 2], 5)):
        with pytest.raises(ValueError, match="Received"):
            rerank_by_inliers(rows, QUERIES, images, depth, progress=False)
    for exclude in ([0], [0, 1, 8], [0, 1, -1]):
        with pytest.raises(ValueError, match="Received"):
            rank_by_inliers(QUERIES, images, exclude, progress=False)
