import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.whitening import learned, matching_pairs


def _all_pairs(labels):
    n = len(labels)
    return {(i, j) for i in range(n) for j in range(i + 1, n) if labels[i] == labels[j]}


@settings(deadline=None, max_examples=100)
@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=25),
    max_pairs=st.none() | st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_draws_distinct_pairs_of_one_label_and_as_many_as_asked(labels, max_pairs, seed):
    possible = _all_pairs(labels)
    if not possible:
        with pytest.raises(UserError, match="no two images"):
            matching_pairs(labels, max_pairs, seed)
        return
    first, second = matching_pairs(labels, max_pairs, seed)
    drawn = [tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= possible
    assert len(drawn) == min(len(possible), max_pairs or len(possible))
    if max_pairs is None:
        assert set(drawn) == possible


def test_seed_decides():
    labels = np.repeat(np.arange(20), 6)
    draw = [matching_pairs(labels, 50, seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert (np.array(draw[0]) != draw[2]).any()


def test_images_of_large_and_small_classes_occur_equally_often():
    labels = np.repeat([0, 1, 2], [100, 10, 5])
    first, second = matching_pairs(labels, 230)
    # Two rounds: each image with two others as first, and with two as second.
    np.testing.assert_array_equal(np.bincount(first), np.full(115, 2))
    np.testing.assert_array_equal(np.bincount(second), np.full(115, 2))


def test_many_images_are_no_trouble():
    labels = np.random.default_rng(0).integers(0, 3, 200_000)
    first, second = matching_pairs(labels, 300_000)  # of 7e9 that there are
    assert len(first) == 300_000 and (labels[first] == labels[second]).all()


def test_labels_may_be_text_and_are_checked():
    first, second = matching_pairs(np.array(["b", "a", "c", "a", "b"]))
    assert {frozenset(p) for p in zip(first, second, strict=True)} == {
        frozenset((0, 4)),
        frozenset((1, 3)),
    }
    for labels in ([], [1], ["a", "b"]):
        with pytest.raises(UserError, match="no two images of the whitening set share a label"):
            matching_pairs(labels)
    with pytest.raises(ValueError, match=r"must be \(images,\)\. Received"):
        matching_pairs(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        matching_pairs([0, 0], 0)


def test_worked_example():
    result = doctest.testmod(learned)
    assert result.attempted == 1 and result.failed == 0
