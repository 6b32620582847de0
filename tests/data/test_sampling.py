"""The P x K sampler: balance, coverage, and the same batch for the same step."""

import collections

import numpy as np
import pytest

from darac_tf.data.sampling import ClassBalancedSampler
from darac_tf.errors import UserError

LABELS = np.repeat(np.arange(7), [2, 3, 4, 5, 8, 9, 40])


def _batches(sampler, steps):
    return np.stack([sampler.batch(step) for step in range(steps)])


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


def test_seed_decides():
    first, same, other = (ClassBalancedSampler(LABELS, 3, 2, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(_batches(first, 5), _batches(same, 5))
    assert (_batches(first, 5) != _batches(other, 5)).any()


def test_too_few_classes():
    with pytest.raises(UserError, match="--classes_per_batch=8 is more than the 7 classes"):
        ClassBalancedSampler(LABELS, 8, 2)
