"""SPoC, MAC and GeM against NumPy, and the layer contract."""

import numpy as np
import pytest

from darac_tf.layers import MAC, GeM, SPoC
from tests.layer_contract import check_layer

MAPS = np.random.default_rng(0).normal(size=(3, 5, 7, 4)).astype(np.float32)


def test_values():
    np.testing.assert_allclose(SPoC()(MAPS), MAPS.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(MAC()(MAPS), MAPS.max((1, 2)))
    powers = np.maximum(MAPS.astype(np.float64), 1e-6) ** 3
    np.testing.assert_allclose(GeM()(MAPS), powers.mean((1, 2)) ** (1 / 3), rtol=1e-5)


def test_gem_lies_between_average_and_maximum():
    maps = np.abs(MAPS)
    np.testing.assert_allclose(GeM(p=1.0)(maps), SPoC()(maps), rtol=1e-5)
    assert (GeM(p=3.0)(maps).numpy() > SPoC()(maps).numpy()).all()
    np.testing.assert_allclose(GeM(p=60.0)(maps), MAC()(maps), rtol=0.1)


def test_large_activations_survive_float16():
    maps = np.full((1, 40, 40, 2), 300.0, np.float32)
    for layer in (SPoC(dtype="mixed_float16"), GeM(dtype="mixed_float16")):
        np.testing.assert_allclose(layer(maps), 300.0, rtol=1e-3)


def test_gem_exponent_is_learned_by_choice():
    assert [len(GeM(learn_p=choice).trainable_weights) for choice in (True, False)] == [0, 0]
    learned, fixed = GeM(), GeM(learn_p=False)
    learned(MAPS), fixed(MAPS)
    assert (len(learned.trainable_weights), len(fixed.trainable_weights)) == (1, 0)
    learned.p.assign(5.0)
    np.testing.assert_allclose(learned(MAPS), GeM(p=5.0)(MAPS), rtol=1e-5)


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [(SPoC, {}), (MAC, {}), (GeM, {"p": 2.0}), pytest.param(GeM, {}, marks=pytest.mark.slow)],
    ids=str,
)
def test_layer_contract(layer_class, arguments, tmp_path):
    check_layer(layer_class, arguments, MAPS, tmp_path)


def test_wrong_exponent_is_refused():
    with pytest.raises(ValueError, match="Received: p=0"):
        GeM(p=0)
