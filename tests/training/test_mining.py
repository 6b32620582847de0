"""Pairs and hardest negatives, against loops."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.training import mining
from darac_tf.training.mining import HardNegatives, draw_pairs, hardest_negatives


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(1, 50), st.integers(0, 9))
def test_pairs_are_of_one_class_and_queries_come_equally_often(labels, count, seed):
    labels = np.array(labels)
    sizes = np.bincount(labels)
    if sizes.max() < 2:
        with pytest.raises(UserError, match="no two images match"):
            draw_pairs(labels, count, np.random.default_rng(seed))
        return
    pairs = draw_pairs(labels, count, np.random.default_rng(seed))
    assert pairs.shape == (count, 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()
    often = np.bincount(pairs[:, 0], minlength=len(labels))[sizes[labels] > 1]
    assert often.max() - often.min() <= 1


def test_every_image_of_the_class_can_be_the_positive():
    labels = np.array([0, 1, 0, 0, 1])
    pairs = draw_pairs(labels, 500, np.random.default_rng(0))
    assert set(pairs[pairs[:, 0] == 0, 1]) == {2, 3}
    assert set(pairs[pairs[:, 0] == 4, 1]) == {1}


def test_listed_pairs_come_equally_often():
    listed = np.array([[3, 1], [0, 2], [1, 0]])
    drawn = draw_pairs(np.zeros(4, int), 7, np.random.default_rng(0), listed)
    times = [(drawn == pair).all(axis=1).sum() for pair in listed]
    assert len(drawn) == 7 and sorted(times) == [2, 2, 3]


def _loop(similarities, query_labels, pool_labels, count):
    result = []
    for query, row in enumerate(similarities):
        chosen, classes = [], {query_labels[query]}
        for _, image in sorted((-value, image) for image, value in enumerate(row)):
            if pool_labels[image] not in classes and len(chosen) < count:
                classes.add(pool_labels[image])
                chosen.append(image)
        result.append(chosen)
    return np.array(result)


@pytest.mark.parametrize("count", [1, 3])
def test_hardest_negatives(count):
    random = np.random.default_rng(0)
    similarities = random.integers(0, 6, (7, 40)) / 5  # with equal ones
    query_labels, pool_labels = random.integers(0, 6, 7), random.integers(0, 6, 40)
    found = hardest_negatives(similarities, query_labels, pool_labels, count)
    np.testing.assert_array_equal(found, _loop(similarities, query_labels, pool_labels, count))


def test_tuples_have_the_hardest_negatives_of_their_own_query(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    labels, vectors = random.integers(0, 6, 40), random.standard_normal((40, 5))
    config = SimpleNamespace(seed=0, mining_queries=60, mining_pool=40, tuple_negatives=3)
    miner = HardNegatives(config, tmp_path, None, SimpleNamespace(labels=labels, pairs=None))
    monkeypatch.setattr(miner, "_describe", lambda indices: vectors[indices])
    monkeypatch.setattr(mining, "_BLOCK", 7)
    tuples = miner._mine(0)
    queries = tuples[:, 0]
    assert len(set(queries)) == 40
    expected = _loop(vectors[queries] @ vectors.T, labels[queries], labels, 3)
    np.testing.assert_array_equal(tuples[:, 2:], expected)


def test_too_few_classes_in_the_pool():
    with pytest.raises(UserError, match=r"--tuple_negatives=2 .* has 1: lower it"):
        hardest_negatives(np.zeros((1, 3)), np.array([0]), np.array([0, 1, 1]), 2)
