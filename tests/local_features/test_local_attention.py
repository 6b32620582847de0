"""Attention against loops over cells, and the layer contract."""

import math

import numpy as np
import pytest

from darac_tf.local_features.model import AttentionPooling, AttentionScores
from tests.layer_contract import check_layer

MAPS = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)


def loop_score(feature, weights):
    """softplus(W2 relu(W1 f + b1) + b2), one product at a time."""
    kernel_1, bias_1, kernel_2, bias_2 = (array.astype(float) for array in weights)
    total = bias_2[0]
    for unit in range(len(bias_1)):
        hidden = bias_1[unit] + sum(f * w for f, w in zip(feature, kernel_1[:, unit], strict=True))
        total += max(hidden, 0.0) * kernel_2[unit, 0]
    return math.log(1 + math.exp(total))


def random_weights(layer, seed=1):
    rng = np.random.default_rng(seed)
    layer.build(MAPS.shape)
    layer.set_weights([rng.normal(size=array.shape) for array in layer.get_weights()])
    return layer.get_weights()


def test_scores_against_the_loop():
    layer = AttentionScores(7)
    weights = random_weights(layer)
    found = np.asarray(layer(MAPS))
    assert found.shape == (3, 4, 5) and found.dtype == np.float32
    for place in np.ndindex(found.shape):
        assert found[place] == pytest.approx(loop_score(MAPS[place], weights), rel=1e-4, abs=1e-6)


def test_pooling_against_the_loop():
    layer = AttentionPooling(7)
    maps = MAPS.copy()
    maps[1, 2, 3] = 0  # has no direction
    weights = random_weights(layer)
    expected = np.zeros((3, 6))
    for image, row, column in np.ndindex(maps.shape[:3]):
        feature = maps[image, row, column].astype(float)
        length = math.sqrt(sum(f * f for f in feature)) or 1.0
        expected[image] += loop_score(feature, weights) * feature / length
    np.testing.assert_allclose(layer(maps), expected, rtol=1e-4, atol=1e-5)


def test_hidden_units_are_normalised_over_the_cells_of_a_batch_in_training():
    layer = AttentionScores(7, batch_norm=True)
    layer.build(MAPS.shape)
    random = np.random.default_rng(1)
    kernel_1, _, kernel_2, bias_2 = (
        random.normal(size=w.shape)
        for w in (layer.kernel_1, layer.bias_1, layer.kernel_2, layer.bias_2)
    )
    gamma, beta = random.normal(size=(2, 7))
    norm = [gamma, beta, np.zeros(7), np.ones(7)]
    layer.set_weights([kernel_1, np.full(7, 100.0), kernel_2, bias_2, *norm])
    hidden = MAPS.reshape(-1, 6) @ kernel_1
    hidden = gamma * (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3) + beta
    expected = np.log1p(np.exp(np.maximum(hidden, 0) @ kernel_2 + bias_2))
    found = layer(MAPS, training=True)
    np.testing.assert_allclose(np.ravel(found), np.ravel(expected), rtol=1e-3, atol=1e-5)


def test_folded_scores_are_those_of_inference():
    layer = AttentionScores(7, batch_norm=True)
    layer.build(MAPS.shape)
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    folded = layer.folded()
    assert len(folded.get_weights()) == 4
    expected = np.array(layer(MAPS, training=False))
    np.testing.assert_allclose(folded(MAPS), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(np.array(layer(MAPS, training=True)) - expected).max() > 0.1
    np.testing.assert_array_equal(folded.folded()(MAPS), folded(MAPS))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("layer", [AttentionScores, AttentionPooling])
def test_layer_contract(layer, batch_norm, tmp_path):
    check_layer(layer, {"hidden_units": 7, "seed": 2, "batch_norm": batch_norm}, MAPS, tmp_path)


@pytest.mark.parametrize("layer", [AttentionScores, AttentionPooling])
def test_refuses_no_units(layer):
    with pytest.raises(ValueError, match="Received: hidden_units=0"):
        layer(0)
