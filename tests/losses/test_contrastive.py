"""Contrastive loss against plain loops, on all pairs and on tuples."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import ContrastiveLoss
from tests.losses.loss_checks import assert_equals_oracle, make_batch, unit_rows


def _pair(a, b, is_positive, margin):
    d = np.linalg.norm(a - b)
    return 0.5 * d**2 if is_positive else 0.5 * max(0, margin - d) ** 2


def all_pairs(labels, embeddings, margin):
    unit = unit_rows(embeddings)
    losses = [
        _pair(unit[i], unit[j], labels[i] == labels[j], margin)
        for i in range(len(unit))
        for j in range(i)
    ]
    return np.mean(losses) if losses else 0.0


def of_tuples(labels, embeddings, margin, tuple_size):
    unit = unit_rows(embeddings)
    sums = []
    for query in range(0, len(unit), tuple_size):
        others = range(query + 1, query + tuple_size)
        sums.append(
            sum(_pair(unit[query], unit[j], labels[query] == labels[j], margin) for j in others)
        )
    return np.mean(sums)


@pytest.mark.parametrize("margin", [0.7, 1.5])
@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 1, 1, 1], [4, 4, 9, 9, 9, 9, 2], [1], [0, 1]], ids=str
)
def test_all_pairs_equal_the_loops(margin, labels):
    labels, x = make_batch(labels)
    assert_equals_oracle(
        ContrastiveLoss(margin), lambda labels, x: all_pairs(labels, x, margin), labels, x
    )


@pytest.mark.parametrize(
    ("tuple_size", "labels"),
    [
        (3, [0, 0, 1, 2, 2, 0]),
        # Two tuples with the same query's class: pairs across tuples do not count.
        (4, [7, 7, 1, 2, 7, 7, 3, 1]),
        (2, [5, 5, 6, 6]),
        # Labels, not places, say which is positive.
        (3, [0, 1, 0, 2, 3, 4]),
    ],
)
def test_tuples_equal_the_loops(tuple_size, labels):
    labels, x = make_batch(labels)
    assert_equals_oracle(
        ContrastiveLoss(1.5, tuple_size),
        lambda labels, x: of_tuples(labels, x, 1.5, tuple_size),
        labels,
        x,
    )


def test_by_hand():
    x = [[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]]
    # Positive at sqrt 2, negatives at 0 and sqrt 2.
    value = ContrastiveLoss(0.8)([0, 0, 1], x)
    np.testing.assert_allclose(value, (1 + 0.32 + 0) / 3, rtol=1e-6)
    np.testing.assert_allclose(ContrastiveLoss(0.8, 3)([0, 0, 1], x), 1.32, rtol=1e-6)


@pytest.mark.parametrize("in_graph", [False, True])
def test_part_of_a_tuple_is_refused(in_graph):
    loss = ContrastiveLoss(tuple_size=4)
    labels, x = make_batch([0, 0, 1, 2, 3, 3])
    if in_graph:
        loss = tf.function(
            loss.__call__,
            input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 4], tf.float64)],
        )
    with pytest.raises(tf.errors.InvalidArgumentError, match="whole tuples of 4"):
        loss(labels, x)


@pytest.mark.parametrize(
    "options", [{"margin": -1.0}, {"tuple_size": 1}, {"tuple_size": 2.5}], ids=str
)
def test_wrong_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^`{name}` must .* Received: {name}={value!r}$"):
        ContrastiveLoss(**options)
