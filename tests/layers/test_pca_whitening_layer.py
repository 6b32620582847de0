"""PCAWhitening: the formula, its weights' way through files, and the layer contract."""

import numpy as np
import pytest

from darac_tf.layers import PCAWhitening
from tests.layer_contract import check_layer

DESCRIPTORS = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


def test_formula():
    rng = np.random.default_rng(1)
    mean, projection = rng.normal(size=8), rng.normal(size=(3, 8))
    layer = PCAWhitening.from_arrays(mean, projection)
    expected = (DESCRIPTORS - mean) @ projection.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(layer(DESCRIPTORS), expected, atol=1e-6)
    assert not layer.trainable_weights


@pytest.mark.parametrize("units", [8, 3])
def test_layer_contract(units, tmp_path):
    check_layer(PCAWhitening, {"units": units}, DESCRIPTORS, tmp_path)


def test_wrong_units_are_refused():
    with pytest.raises(ValueError, match="Received: units=0"):
        PCAWhitening(0)
    with pytest.raises(ValueError, match=r"at most the 8 channels.*Received: units=9"):
        PCAWhitening(9)(DESCRIPTORS)
