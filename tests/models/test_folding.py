"""Folded batch normalisation: the same function, with fewer layers."""

import keras
import numpy as np
import pytest
from keras import layers

from darac_tf.models import build_backbone, build_descriptor
from darac_tf.models.folding import fold_batch_norm
from tests.helpers import write_backbone


def randomise(model, seed=0):
    """Statistics and factors as of a trained network, not those of a new one."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomise(layer, seed + 1)
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                low, high = (-0.3, 0.3) if weight.name in ("beta", "moving_mean") else (0.5, 1.5)
                weight.assign(rng.uniform(low, high, weight.shape))
    return model


def norms(model):
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    own = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    return len(own) + sum(map(norms, inner))


def check(model, found, folded, size=40):
    before = [weight.copy() for weight in model.get_weights()]
    copy, folding = fold_batch_norm(model)
    assert folding == (found, folded) and norms(copy) == found - folded
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, size, size + 8, 3)).astype(np.float32)
    expected = np.asarray(model(pixels, training=False))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(copy(pixels, training=False), expected, rtol=1e-5, atol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_every_way_in_which_it_can_be_folded():
    inputs = x = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(epsilon=0.01)(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.Conv2D(6, 1, bias_initializer="ones")(x)
    x = layers.BatchNormalization(center=False)(x)
    check(randomise(keras.Model(inputs, x)), 3, 3)


def test_what_stays():
    inputs = keras.Input((None, None, 3))
    x = first = layers.Conv2D(8, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)  # the convolution's output is added below
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.add([x, first]))
    x = layers.BatchNormalization()(x)  # behind a ReLU
    shared = layers.Conv2D(8, 3, padding="same")
    x = layers.BatchNormalization()(shared(shared(x)))  # a convolution that is called twice
    again = layers.Conv2D(8, 3, padding="same")(x)
    output = layers.BatchNormalization()(again)  # the convolution's output is taken again
    check_model = randomise(keras.Model(inputs, layers.concatenate([output, again])))
    check(check_model, 4, 0)


def test_a_convolution_whose_output_is_an_output_stays():
    inputs = keras.Input((None, None, 3))
    maps = layers.Conv2D(4, 3)(inputs)
    model = randomise(keras.Model(inputs, [layers.BatchNormalization()(maps), maps]))
    copy, folding = fold_batch_norm(model)
    assert folding == (1, 0)
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, 8, 9, 3)).astype(np.float32)
    for found, expected in zip(copy(pixels), model(pixels), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_batch_statistics_are_not_folded():
    inputs = keras.Input((None, None, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs), training=True)
    _, folding = fold_batch_norm(keras.Model(inputs, x))
    assert folding == (1, 0)


def test_statistics_of_a_normalisation_are_copied():
    inputs = keras.Input((None, None, 3))
    scaled = layers.Normalization()
    scaled.adapt(np.random.default_rng(0).normal(5, 3, (4, 8, 8, 3)))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3)(scaled(inputs)))
    check(randomise(keras.Model(inputs, x)), 1, 1)


def test_a_descriptor_with_its_nested_backbone(tmp_path):
    model = build_descriptor(write_backbone(tmp_path / "small.keras"))
    check(randomise(model), 1, 1)


@pytest.mark.parametrize(
    ("name", "found", "folded"),
    [
        pytest.param("ResNet50V2", 49, 32, marks=pytest.mark.slow),
        ("EfficientNetLite0", 49, 49),
    ],
)
def test_backbones(name, found, folded):
    network, _ = build_backbone(name, "none")
    check(randomise(network), found, folded, size=64)
