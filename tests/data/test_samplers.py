"""Samplers: balance, coverage, class frequencies, and the same batch for the same step."""

import collections
import itertools

import numpy as np
import pytest

from darac_tf.data.samplers import ClassBalancedSampler, TemperedSampler, TupleSampler
from darac_tf.errors import UserError

LABELS = np.repeat(np.arange(7), [2, 3, 4, 5, 8, 9, 40])


def _batches(sampler, steps, first=0):
    return np.stack([sampler.batch(step) for step in range(first, first + steps)])


def test_every_batch_is_p_classes_of_k_images():
    sampler = ClassBalancedSampler(LABELS, 3, 4, seed=0)
    counted = np.bincount(LABELS)
    for batch in _batches(sampler, 20):
        counts = collections.Counter(LABELS[batch])
        assert sorted(counts.values()) == [4, 4, 4]
        for label in counts:
            chosen = batch[LABELS[batch] == label]
            assert len(set(chosen)) == min(4, counted[label])


def test_all_classes_come_equally_often_and_all_images_come():
    sampler = ClassBalancedSampler(LABELS, 3, 2, seed=1)
    batches = _batches(sampler, 2 * 70)
    classes = collections.Counter(LABELS[batches[:, ::2]].ravel())
    expected = 140 * 3 / 7
    assert all(abs(n - expected) < 5 * np.sqrt(expected) for n in classes.values())
    assert len(np.unique(batches)) == len(LABELS)


def test_images_of_a_class_come_equally_often_over_its_cycle():
    labels = np.repeat([0, 1], [8, 8])
    batches = _batches(ClassBalancedSampler(labels, 2, 4, seed=0), 6)
    np.testing.assert_array_equal(np.bincount(batches.ravel()), 3)
    # Each class in an order of its own.
    assert (batches[:, :4] % 8 != batches[:, 4:] % 8).any()


def test_seed_decides():
    first, same, other = (ClassBalancedSampler(LABELS, 3, 2, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(_batches(first, 5), _batches(same, 5))
    assert (_batches(first, 5) != _batches(other, 5)).any()


def test_too_few_classes():
    with pytest.raises(UserError, match="--classes_per_batch=8 is more than the 7 classes"):
        ClassBalancedSampler(LABELS, 8, 2)


COUNTS = np.array([1, 2, 3, 5, 0, 9, 60])
TAILED = np.repeat(np.arange(7), COUNTS)


def _inclusion(alpha, classes_per_batch):
    """Probability that a class is in a step: all orders in which classes may be drawn, summed."""
    weights = np.array([n**alpha if n else 0.0 for n in COUNTS])
    result = np.zeros(len(COUNTS))
    for order in itertools.permutations(np.flatnonzero(COUNTS), classes_per_batch):
        probability, left = 1.0, weights.sum()
        for label in order:
            probability *= weights[label] / left
            left -= weights[label]
        result[list(order)] += probability
    return result


@pytest.mark.parametrize(("alpha", "P"), [(0, 2), (0.5, 2), (1, 2), (1, 1), (1, 5)])
def test_class_frequencies(alpha, P):
    steps = 900
    batches = _batches(TemperedSampler(TAILED, P, 1, alpha, seed=3), steps)
    frequency = np.bincount(TAILED[batches].ravel(), minlength=7) / steps
    expected = _inclusion(alpha, P)
    deviation = np.sqrt(expected * (1 - expected) / steps)
    assert (np.abs(frequency - expected) <= 4.5 * deviation + 1e-12).all(), (frequency, expected)
    assert frequency[4] == 0


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_tempered_step_is_p_classes_of_k_images(order):
    labels = TAILED[order]
    batches = _batches(TemperedSampler(labels, 4, 3, 0.5, seed=1), 60)
    for batch in batches.reshape(60, 4, 3):
        assert len(set(labels[batch[:, 0]])) == 4
        for images in batch:
            (label,) = set(labels[images])
            times = np.unique(images, return_counts=True)[1]
            assert len(times) == min(3, COUNTS[label])
            assert times.max() - times.min() <= 1


def test_tempered_images_of_a_class_come_equally_often():
    labels = np.repeat([0, 1], [7, 7])
    batches = _batches(TemperedSampler(labels, 2, 2, 1, seed=0), 700)
    # Each step takes 2 of 7 images: mean 200, standard deviation 12.
    assert (np.abs(np.bincount(batches.ravel()) - 200) < 55).all()
    pairs = {tuple(sorted(pair)) for pair in batches.reshape(-1, 2)}
    assert len(pairs) == 2 * 21


def test_step_and_seed_decide_tempered_batches():
    first, same, other = (TemperedSampler(TAILED, 3, 2, 0.5, seed=s) for s in (5, 5, 6))
    whole = _batches(first, 8)
    np.testing.assert_array_equal(_batches(same, 3, first=5), whole[5:])
    assert (_batches(other, 8) != whole).any()
    assert first.steps_per_epoch == 80 // 6


def test_refused_tempering():
    with pytest.raises(UserError, match="--classes_per_batch=7 is more than the 6 classes"):
        TemperedSampler(TAILED, 7, 2, 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\]\. Received: alpha=1.5"):
        TemperedSampler(TAILED, 2, 2, 1.5)


def test_the_sampler_walks_through_the_table():
    table = np.array([[5, 6, 7], [1, 2, 3], [9, 8, 4]])
    sampler = TupleSampler(table, tuples_per_batch=1, first_step=10)
    assert sampler.batch_size == 3
    assert [list(sampler.batch(step)) for step in (10, 11, 12)] == table.tolist()
    in_pairs = TupleSampler(np.repeat(table, 2, axis=0), tuples_per_batch=2, first_step=10)
    assert list(in_pairs.batch(11)) == [1, 2, 3, 1, 2, 3]
