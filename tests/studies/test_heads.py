"""Heads that are trained together are those that Keras trains alone; APs are those of sklearn."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import average_precision_score

from darac_tf.losses import make_loss
from studies.head_scores import average_precisions
from studies.heads import train_heads
from studies.loss_options import NRA_ALL, NRA_COMPARED, NRA_DEFAULT, OPTIONS, compared, option_name
from studies.stored_vectors import principal_directions
from tests.helpers import slow_but

LABELS = np.repeat(np.arange(3), 4)
VECTORS = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
BATCHES = np.stack([np.random.default_rng(s).permutation(12) for s in range(6)]).reshape(2, 3, 12)


def _alone(make, seed, rate, class_rate, warmup):
    """The head after three steps, by Keras' optimiser and without `vectorized_map`."""
    loss, head = make(seed), tf.Variable(np.eye(6, 4, dtype=np.float32))
    own = [v.value for v in loss.trainable_variables]
    optimizers = [keras.optimizers.Adam(1.0), keras.optimizers.Adam(1.0)]
    optimizers[0].build([head])
    optimizers[1].build(loss.trainable_variables)
    for step in range(3):
        batch = BATCHES[seed, step]
        with tf.GradientTape() as tape:
            value = loss(tf.constant(LABELS[batch]), tf.constant(VECTORS[batch]) @ head)
        first, *others = tape.gradient(value, [head, *own])
        rise = min(1, (step + 1) / warmup)
        optimizers[0].learning_rate = rate * rise
        optimizers[1].learning_rate = class_rate * rate * rise
        optimizers[0].apply([first], [head])
        if own:
            optimizers[1].apply(others, loss.trainable_variables)
    return head.numpy()


@pytest.mark.parametrize("loss", slow_but(["nra"], ["nra", "softmax"]))
def test_heads_are_those_trained_alone(loss):
    def make(seed):
        return make_loss(loss, 3, 4, seed=seed)

    points = list(
        train_heads(
            make, VECTORS, LABELS, BATCHES, (0.01, 0.1), 4, (1, 3), warmup=2, class_rate=3.0
        )
    )
    assert [heads.shape for heads in points] == [(2, 2, 6, 4)] * 2
    assert np.abs(points[0] - points[1]).max() > 0.01
    for row, rate in enumerate((0.01, 0.1)):
        for seed in range(2):
            expected = _alone(make, seed, rate, 3.0, 2)
            np.testing.assert_allclose(points[1][row, seed], expected, atol=2e-4)


def test_average_precisions_are_those_of_sklearn():
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    for row, found in enumerate(average_precisions(unit, LABELS)):
        others = np.arange(12) != row
        expected = average_precision_score(LABELS[others] == LABELS[row], unit[others] @ unit[row])
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_first_directions_are_pca():
    from sklearn.decomposition import PCA

    first, other = principal_directions(VECTORS, 5, VECTORS[:3] + 1)
    pca = PCA(5).fit(VECTORS)
    for found, given in ((first, VECTORS), (other, VECTORS[:3] + 1)):
        expected = pca.transform(given)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)


def test_every_loss_has_as_many_options_with_names_of_their_own():
    assert len(NRA_ALL) == 18 and NRA_ALL[0] == NRA_DEFAULT
    assert all(option in NRA_ALL for option in NRA_COMPARED)
    for loss in OPTIONS:
        assert len(compared(loss)) == 6
        names = {option_name(option) for option in OPTIONS[loss]}
        assert len(names) == len(OPTIONS[loss])
        for option in OPTIONS[loss]:
            make_loss(loss, 3, 4, **{k: v for k, v in option.items() if k != "class_rate"})
