"""R-MAC with whitened regional vectors against a loop over regions, and the layer contract."""

import numpy as np
import pytest

from darac_tf.layers import RMAC, WhitenedRMAC
from darac_tf.layers.regions import rmac_regions
from tests.layer_contract import check_layer


def _maps(height=6, width=8, channels=5, seed=0):
    return np.random.default_rng(seed).random((3, height, width, channels), np.float32)


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _loop(maps, mean, projection):
    result = []
    for image in maps:
        total = 0
        for x, y, w, h in rmac_regions(*image.shape[:2]):
            region = _unit(image[y : y + h, x : x + w].max((0, 1)))
            total = total + _unit(projection @ (region - mean))
        result.append(_unit(total))
    return np.array(result)


@pytest.mark.parametrize("arguments", [{}, {"levels": 2, "dim": 3}], ids=str)
def test_layer_contract(arguments, tmp_path):
    check_layer(WhitenedRMAC, arguments, _maps(), tmp_path)


def test_starts_as_rmac():
    np.testing.assert_allclose(WhitenedRMAC()(_maps()), RMAC()(_maps()), atol=1e-6)


@pytest.mark.parametrize("dim", [5, 2])
@pytest.mark.parametrize(("height", "width"), [(6, 8), (1, 1), (7, 4)])
def test_equals_the_loop_over_regions(dim, height, width):
    random = np.random.default_rng(1)
    maps, mean = _maps(height, width), random.random(5).astype(np.float32)
    projection = random.normal(size=(dim, 5)).astype(np.float32)
    layer = WhitenedRMAC(dim=dim)
    layer.build(maps.shape)
    layer.set_whitening(mean, projection)
    np.testing.assert_allclose(layer(maps), _loop(maps, mean, projection), atol=1e-5)


def test_a_dimension_is_positive():
    with pytest.raises(ValueError, match="Received: dim=0"):
        WhitenedRMAC(dim=0)
