"""Smooth-AP against plain loops, and against average precision when it is cold."""

import math

import numpy as np
import pytest

from darac_tf.losses import SmoothAPLoss
from tests.losses.loss_checks import assert_equals_oracle, make_batch, unit_rows


def _sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def smooth_ap(labels, embeddings, temperature):
    unit, n = unit_rows(embeddings), len(labels)
    precisions = []
    for i in range(n):
        s = [unit[i] @ unit[j] for j in range(n)]
        positive = [j for j in range(n) if j != i and labels[j] == labels[i]]
        terms = []
        for j in positive:
            before = {k: _sigmoid((s[k] - s[j]) / temperature) for k in range(n) if k not in (i, j)}
            rank_in_positives = 1 + sum(before[k] for k in positive if k != j)
            terms.append(rank_in_positives / (1 + sum(before.values())))
        if positive:
            precisions.append(np.mean(terms))
    return 1 - np.mean(precisions) if precisions else 0.0


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 1], [4, 4, 9, 9, 9, 9, 2], [3, 3]], ids=str)
def test_value_and_gradient_equal_the_loops(temperature, labels):
    labels, x = make_batch(labels)
    assert_equals_oracle(
        SmoothAPLoss(temperature), lambda labels, x: smooth_ap(labels, x, temperature), labels, x
    )


def test_default_temperature_equals_the_loops():
    labels, x = make_batch([4, 4, 9, 9, 9, 9, 2])
    np.testing.assert_allclose(SmoothAPLoss()(labels, x), smooth_ap(labels, x, 0.01), rtol=1e-4)


def test_cold_loss_is_one_minus_average_precision():
    labels, x = make_batch(np.repeat(np.arange(4), 4), dim=8)
    unit = np.array(unit_rows(x))
    precisions = []
    for i, row in enumerate(unit @ unit.T):
        hits = [labels[j] == labels[i] for j in np.argsort(-row) if j != i]
        ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
        precisions.append(np.mean([found / rank for found, rank in enumerate(ranks, start=1)]))
    np.testing.assert_allclose(SmoothAPLoss(1e-5)(labels, x), 1 - np.mean(precisions), rtol=1e-4)


def test_collapsed_batch_by_hand():
    # Every step is 1/2: one other positive and two negatives.
    value = SmoothAPLoss()([0, 0, 0, 1, 1], np.ones((5, 3)))
    of_three, of_two = 1 - 1.5 / 2.5, 1 - 1 / 2.5
    np.testing.assert_allclose(value, (3 * of_three + 2 * of_two) / 5, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_wrong_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match=r"^`temperature` must .* Received: temperature="):
        SmoothAPLoss(temperature)
