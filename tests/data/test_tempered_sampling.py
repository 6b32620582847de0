"""The sampler for long tails: class frequencies, distinct classes, and a function of the step."""

import itertools

import numpy as np
import pytest

from darac_tf.data.tempered_sampling import TemperedSampler
from darac_tf.errors import UserError

COUNTS = np.array([1, 2, 3, 5, 0, 9, 60])
LABELS = np.repeat(np.arange(7), COUNTS)


def _batches(sampler, steps, first=0):
    return np.stack([sampler.batch(step) for step in range(first, first + steps)])


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
    batches = _batches(TemperedSampler(LABELS, P, 1, alpha, seed=3), steps)
    frequency = np.bincount(LABELS[batches].ravel(), minlength=7) / steps
    expected = _inclusion(alpha, P)
    deviation = np.sqrt(expected * (1 - expected) / steps)
    assert (np.abs(frequency - expected) <= 4.5 * deviation + 1e-12).all(), (frequency, expected)
    assert frequency[4] == 0


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_step_is_p_classes_of_k_images(order):
    labels = LABELS[order]
    batches = _batches(TemperedSampler(labels, 4, 3, 0.5, seed=1), 60)
    for batch in batches.reshape(60, 4, 3):
        assert len(set(labels[batch[:, 0]])) == 4
        for images in batch:
            (label,) = set(labels[images])
            times = np.unique(images, return_counts=True)[1]
            assert len(times) == min(3, COUNTS[label])
            assert times.max() - times.min() <= 1


def test_images_of_a_class_come_equally_often():
    labels = np.repeat([0, 1], [7, 7])
    batches = _batches(TemperedSampler(labels, 2, 2, 1, seed=0), 700)
    # Each step takes 2 of 7 images: mean 200, standard deviation 12.
    assert (np.abs(np.bincount(batches.ravel()) - 200) < 55).all()
    pairs = {tuple(sorted(pair)) for pair in batches.reshape(-1, 2)}
    assert len(pairs) == 2 * 21


def test_step_and_seed_decide():
    first, same, other = (TemperedSampler(LABELS, 3, 2, 0.5, seed=s) for s in (5, 5, 6))
    whole = _batches(first, 8)
    np.testing.assert_array_equal(_batches(same, 3, first=5), whole[5:])
    assert (_batches(other, 8) != whole).any()
    assert first.steps_per_epoch == 80 // 6


def test_refused():
    with pytest.raises(UserError, match="--classes_per_batch=7 is more than the 6 classes"):
        TemperedSampler(LABELS, 7, 2, 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\]\. Received: alpha=1.5"):
        TemperedSampler(LABELS, 2, 2, 1.5)
