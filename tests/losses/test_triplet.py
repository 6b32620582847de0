"""Triplet loss against plain loops."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import TripletLoss
from tests.losses.loss_checks import (
    assert_equals_oracle,
    make_batch,
    unit_rows,
    value_and_gradient,
)


def batch_hard(labels, embeddings, margin, power=1):
    unit, n = unit_rows(embeddings), len(labels)
    losses = []
    for a in range(n):
        d = [np.linalg.norm(unit[a] - unit[j]) ** power for j in range(n)]
        positive = [d[j] for j in range(n) if j != a and labels[j] == labels[a]]
        negative = [d[j] for j in range(n) if labels[j] != labels[a]]
        if positive and negative:
            losses.append(max(0, margin + max(positive) - min(negative)))
    return np.mean(losses) if losses else 0.0


def semi_hard(labels, embeddings, margin, power=1):
    unit, n = unit_rows(embeddings), len(labels)
    losses = []
    for a in range(n):
        d = [np.linalg.norm(unit[a] - unit[j]) ** power for j in range(n)]
        negative = [d[j] for j in range(n) if labels[j] != labels[a]]
        for p in range(n):
            if p == a or labels[p] != labels[a] or not negative:
                continue
            farther = [x for x in negative if x > d[p]]
            chosen = min(farther) if farther else max(negative)
            losses.append(max(0, margin + d[p] - chosen))
    return np.mean(losses) if losses else 0.0


ORACLES = {"batch_hard": batch_hard, "semi_hard": semi_hard}


@pytest.mark.parametrize("mining", ORACLES)
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("margin", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 1], [4, 4, 9, 9, 9, 9, 2]], ids=str)
def test_value_and_gradient_equal_the_loops(mining, squared, margin, labels):
    power = 2 if squared else 1
    for seed in range(2):
        labels, x = make_batch(labels, seed=seed)
        assert_equals_oracle(
            TripletLoss(mining, margin, squared),
            lambda labels, x: ORACLES[mining](labels, x, margin, power),
            labels,
            x,
        )


def _on_circle(degrees):
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _chord(degrees):
    return 2 * np.sin(np.deg2rad(degrees) / 2)


@pytest.mark.parametrize(
    ("mining", "expected"),
    [
        # Anchors at 0 and 40 are the only ones with a positive. Negatives are at 30, 70 and 90.
        ("batch_hard", (2 + 2 * _chord(40) - _chord(30) - _chord(10)) / 2),
        # From 0, 70 is the nearest beyond 40. From 40, all are 10, 30 and 50 away: 50.
        ("semi_hard", (2 + 2 * _chord(40) - _chord(70) - _chord(50)) / 2),
    ],
)
def test_choice_of_the_negative_by_hand(mining, expected):
    x = _on_circle([0, 40, 30, 70, 90])
    value = TripletLoss(mining, margin=1.0)([5, 5, 1, 2, 3], x)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_farthest_negative_where_none_is_farther_than_the_positive():
    # Positives 90 apart, negatives between them.
    x = _on_circle([0, 90, 20, 40])
    expected = 0.5 + _chord(90) - (_chord(40) + _chord(70)) / 2
    value = TripletLoss("semi_hard", margin=0.5)([1, 1, 2, 3], x)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("mining", ORACLES)
def test_separated_classes_have_no_loss_and_no_gradient(mining):
    x = tf.constant(_on_circle([0, 3, 90, 93]), tf.float32)
    value, gradient = value_and_gradient(TripletLoss(mining), [0, 0, 1, 1], x)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("mining", ORACLES)
@pytest.mark.parametrize("squared", [False, True])
def test_collapsed_batch_has_the_margin_as_loss(mining, squared):
    value = TripletLoss(mining, 0.3, squared)([0, 0, 1, 1], np.ones((4, 3)))
    np.testing.assert_allclose(value, 0.3, rtol=1e-6)


@pytest.mark.parametrize("mining", ORACLES)
def test_opposite_negatives_are_the_farthest_there_are(mining):
    # Squared, 4 away: more than the largest distance, less than what stands for none.
    value = TripletLoss(mining, 5.0, squared=True)([0, 0, 1], [[1.0, 0], [1, 0], [-1, 0]])
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)


def test_anchors_without_a_negative_or_positive_do_not_thin_the_mean():
    labels, x = make_batch([0, 0, 1, 2])
    np.testing.assert_allclose(TripletLoss()(labels, x), batch_hard(labels, x, 0.2), rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{"mining": "hard"}, {"margin": 0.0}, {"margin": float("nan")}], ids=str
)
def test_wrong_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^`{name}` must .* Received: {name}={value!r}$"):
        TripletLoss(**options)
