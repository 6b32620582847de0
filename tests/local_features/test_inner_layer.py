"""Which inner layer is taken, and that the cut network gives what the whole one passes on."""

import keras
import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.local_features.model import inner_layer, inner_model, strides_of

layers = keras.layers


def network(padding="same"):
    """Stride 4, a residual block of stride 16 with another in it, padding, and stride 32."""
    pixels = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 5, strides=4, padding=padding, name="first")(pixels)
    x = layers.Conv2D(4, 3, strides=4, padding=padding, name="entry")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = layers.Add(name="block")([x, y])
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Conv2D(5, 3, strides=2, name="last")(x)
    return keras.Model(pixels, x)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_last_layer_of_the_stride_that_nothing_passes_by(padding):
    backbone = network(padding)
    assert inner_layer(backbone) == "block"
    assert inner_layer(backbone, stride=4) == "first"
    assert inner_layer(backbone, stride=32) == "last"
    assert strides_of(backbone, ["first", "branch", "last"]) == {
        "first": 4,
        "branch": 16,
        "last": 32,
    }


def test_an_open_shortcut_hides_the_layers_it_passes():
    pixels = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 16, strides=16, name="start")(pixels)
    y = layers.Conv2D(4, 1, name="branch")(x)
    z = layers.Conv2D(4, 3, strides=2, padding="same", name="down")(y)
    x = layers.MaxPooling2D(2, padding="same", name="shortcut")(x)
    assert inner_layer(keras.Model(pixels, layers.Add()([x, z]))) == "start"


def test_the_second_resnet_strides_in_its_last_blocks():
    backbone = keras.applications.ResNet50V2(
        weights=None, include_top=False, input_shape=(None, None, 3)
    )
    assert inner_layer(backbone) == "conv4_block5_out"
    assert strides_of(backbone, ["conv4_block6_out"]) == {"conv4_block6_out": 32}
    assert inner_model(backbone, "conv4_block6_out").output_shape == (None, None, None, 1024)


def test_sequential_networks_and_their_values():
    backbone = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 16, strides=16), layers.Conv2D(2, 2, 2)]
    )
    pixels = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype(np.float32)
    maps = inner_model(backbone)(pixels)
    assert maps.shape == (2, 4, 6, 4)
    np.testing.assert_allclose(backbone.layers[-1](maps), backbone(pixels), atol=1e-6)


def test_refuses_what_is_not_there():
    backbone = network()
    with pytest.raises(UserError, match=r"no layer of stride 7 \(strides there: 16, 32, 4\)"):
        inner_layer(backbone, stride=7)
    with pytest.raises(UserError, match=r"no layer 'fourth'; its last ones are .*last"):
        inner_model(backbone, "fourth")
    pooled = layers.GlobalAveragePooling2D(name="mean")(backbone.output)
    with pytest.raises(UserError, match=r"up to mean must map images .* to feature maps"):
        inner_model(keras.Model(backbone.input, pooled), "mean")
