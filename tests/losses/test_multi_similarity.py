"""Multi-similarity loss against plain loops."""

import math

import numpy as np
import pytest

from darac_tf.losses import MultiSimilarityLoss
from tests.losses.loss_checks import assert_equals_oracle, make_batch, unit_rows


def multi_similarity(labels, embeddings, alpha=2.0, beta=50.0, threshold=0.5, epsilon=0.1):
    unit, n = unit_rows(embeddings), len(labels)
    total = 0.0
    for i in range(n):
        positive = [unit[i] @ unit[j] for j in range(n) if j != i and labels[j] == labels[i]]
        negative = [unit[i] @ unit[j] for j in range(n) if labels[j] != labels[i]]
        least = min(positive, default=math.inf)
        most = max(negative, default=-math.inf)
        mined_positive = [s for s in positive if s < most + epsilon]
        mined_negative = [s for s in negative if s > least - epsilon]
        of_positive = sum(math.exp(-alpha * (s - threshold)) for s in mined_positive)
        of_negative = sum(math.exp(beta * (s - threshold)) for s in mined_negative)
        total += math.log1p(of_positive) / alpha + math.log1p(of_negative) / beta
    return total / n


@pytest.mark.parametrize(
    "options",
    [{}, {"threshold": 1.0}, {"alpha": 5.0, "beta": 3.0}, {"epsilon": 1.0}, {"epsilon": 0.01}],
    ids=str,
)
@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 1], [4, 4, 9, 9, 9, 9, 2]], ids=str)
def test_value_and_gradient_equal_the_loops(options, labels):
    for seed in range(3):
        labels, x = make_batch(labels, seed=seed)
        assert_equals_oracle(
            MultiSimilarityLoss(**options),
            lambda labels, x: multi_similarity(labels, x, **options),
            labels,
            x,
        )


def test_easy_pairs_are_not_mined():
    x = np.eye(4)[[0, 0, 1, 1]] + 0.01 * np.eye(4)[[2, 3, 2, 3]]
    # Positives have a cosine near 1, negatives near 0.
    assert MultiSimilarityLoss()([0, 0, 1, 1], x) == 0
    assert MultiSimilarityLoss(epsilon=1.1)([0, 0, 1, 1], x) > 0.1


def test_anchors_without_mined_pairs_count_in_the_mean():
    # Only anchors 0 and 1 have a positive; the two others add nothing to the sum.
    labels, x = make_batch([0, 0, 1, 2])
    with_all = multi_similarity(labels, x, epsilon=1.9)
    np.testing.assert_allclose(MultiSimilarityLoss(epsilon=1.9)(labels, x), with_all, rtol=1e-5)


def test_steep_exponents_do_not_overflow():
    labels, x = make_batch([0, 0, 1, 1])
    value = MultiSimilarityLoss(beta=1e4, epsilon=1.9, threshold=-1.0)(labels, x)
    unit = np.array(unit_rows(x))
    similarity = unit @ unit.T
    # log sum exp has become the maximum.
    most = np.max(similarity[:2, 2:], axis=1).sum() + np.max(similarity[2:, :2], axis=1).sum()
    positive = sum(
        math.log1p(math.exp(-2 * (similarity[i, j] + 1))) / 2
        for i, j in [(0, 1), (1, 0), (2, 3), (3, 2)]
    )
    np.testing.assert_allclose(value, (most + 4 + positive) / 4, rtol=1e-3)


@pytest.mark.parametrize(
    "options", [{"alpha": 0.0}, {"beta": -1.0}, {"epsilon": 0.0}, {"threshold": 1.5}], ids=str
)
def test_wrong_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^`{name}` must .* Received: {name}={value!r}$"):
        MultiSimilarityLoss(**options)
