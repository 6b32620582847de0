"""Descending the NRA loss makes retrieval better, on classes it has not seen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import NRALoss

SIGNAL_DIM, NOISE_DIM, EMBEDDING_DIM = 6, 30, 8
CLASSES, IMAGES = 12, 4


def _features(rng, classes):
    """Classes differ in a few directions; the others are noise. A rotation mixes them."""
    labels = np.repeat(np.arange(classes), IMAGES)
    centres = rng.normal(size=(classes, SIGNAL_DIM))
    signal = centres[labels] + 0.2 * rng.normal(size=(len(labels), SIGNAL_DIM))
    noise = 0.6 * rng.normal(size=(len(labels), NOISE_DIM))
    features = np.concatenate([signal, noise], axis=1)
    rotation = np.linalg.qr(np.random.default_rng(99).normal(size=(features.shape[1],) * 2))[0]
    return labels, (features @ rotation).astype(np.float32)


def _leave_one_out_map(labels, embeddings):
    """Mean average precision of every image against all others, by cosine."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = unit @ unit.T
    precisions = []
    for i, row in enumerate(similarity):
        order = [j for j in np.argsort(-row) if j != i]
        hits = labels[order] == labels[i]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        precisions.append(precision[hits].mean())
    return np.mean(precisions)


def _train(loss, projection, rng, steps):
    optimizer = keras.optimizers.Adam(0.01)

    @tf.function(autograph=False)
    def step(labels, features):
        with tf.GradientTape() as tape:
            value = loss(labels, features @ projection)
        optimizer.apply_gradients([(tape.gradient(value, projection), projection)])
        return value

    return np.array([step(*map(tf.constant, _features(rng, CLASSES))) for _ in range(steps)])


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({}, 0.5),
        pytest.param({"statistics": "anchor", "transfer": "power"}, 0.5, marks=pytest.mark.slow),
        pytest.param({"rank": "soft", "transfer": "exponential"}, 0.5, marks=pytest.mark.slow),
        # Distances of other classes are never near 0 or the largest, so its loss stays above 1.
        pytest.param({"rank": "minmax"}, 0.7, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_retrieval_of_new_classes_improves(options, share):
    rng = np.random.default_rng(0)
    labels, features = _features(rng, 40)
    start = rng.normal(size=(SIGNAL_DIM + NOISE_DIM, EMBEDDING_DIM)).astype(np.float32)
    projection = tf.Variable(start)
    before = _leave_one_out_map(labels, features @ start)
    values = _train(NRALoss(**({"rank": "gaussian"} | options)), projection, rng, steps=300)
    after = _leave_one_out_map(labels, features @ projection.numpy())
    assert values[-20:].mean() < share * values[:20].mean()
    assert before < 0.2
    assert after > 0.7
