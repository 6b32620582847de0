"""The one L2 normalisation, and PCA whitening: formulas, files, and the layer contract."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.layers import L2Normalization, PCAWhitening, l2_normalize
from tests.layer_contract import check_layer

DESCRIPTORS = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_unit_length_in_float32_for_every_dtype(dtype):
    x = tf.cast(np.random.default_rng(0).normal(size=(5, 8)) * 100, dtype)
    result = l2_normalize(x)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(np.linalg.norm(result, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e15])
def test_scale_does_not_matter(scale):
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(l2_normalize(x * np.float32(scale)), l2_normalize(x), atol=1e-6)


def test_zero_stays_zero_with_zero_gradient():
    x = tf.constant([[0.0, 0.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = l2_normalize(x)
        loss = tf.reduce_sum(y)
    np.testing.assert_allclose(y, [[0, 0], [0.6, 0.8]], atol=1e-7)
    gradient = tape.gradient(loss, x).numpy()
    np.testing.assert_array_equal(gradient[0], 0)
    # d/dx sum(x / ||x||) at (3, 4), by hand: ((16 - 12) / 125, (9 - 12) / 125)
    np.testing.assert_allclose(gradient[1], [4 / 125, -3 / 125], atol=1e-7)


def test_inside_tf_data():
    dataset = tf.data.Dataset.from_tensors([3.0, 4.0]).map(l2_normalize)
    np.testing.assert_allclose(next(iter(dataset)), [0.6, 0.8], atol=1e-7)


def test_whitening_is_its_formula():
    rng = np.random.default_rng(1)
    mean, projection = rng.normal(size=8), rng.normal(size=(3, 8))
    layer = PCAWhitening.from_arrays(mean, projection)
    expected = (DESCRIPTORS - mean) @ projection.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(layer(DESCRIPTORS), expected, atol=1e-6)
    assert not layer.trainable_weights


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [
        (L2Normalization, {}),
        (PCAWhitening, {"units": 3}),
        pytest.param(PCAWhitening, {"units": 8}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_layer_contract(layer_class, arguments, tmp_path):
    check_layer(layer_class, arguments, DESCRIPTORS, tmp_path)


def test_wrong_units_are_refused():
    with pytest.raises(ValueError, match="Received: units=0"):
        PCAWhitening(0)
    with pytest.raises(ValueError, match=r"at most the 8 channels.*Received: units=9"):
        PCAWhitening(9)(DESCRIPTORS)
