"""The TensorFlow engine: the same vectors from folded and fused operations."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from darac_tf.engines import EngineSettings, FunctionEngine, as_engine, make_engine
from darac_tf.engines.inference_copy import FixedNorm, Sum, inference_copy
from darac_tf.errors import UserError
from tests.engines.engine_checks import check_engine
from tests.engines.networks import SHAPES, parts, pixels, randomised, residual_network


def test_vectors():
    check_engine("tensorflow", 1e-5)


def test_what_becomes_of_each_layer():
    network = residual_network()
    before = network.get_weights()
    copy = inference_copy(network, "bfloat16")
    kinds = [type(layer) for layer in copy.layers]
    assert kinds.count(FixedNorm) == 1  # of three: two were folded into convolutions
    assert kinds.count(Sum) == 1 and kinds.count(layers.Add) == 1  # the one that broadcasts
    assert layers.BatchNormalization not in kinds
    assert copy(pixels((1, 64, 64))).dtype == tf.bfloat16
    kinds = {type(layer): {weight.dtype for weight in layer.weights} for layer in copy.layers}
    assert kinds[FixedNorm] == {"float32"} and kinds[layers.Conv2D] == {"bfloat16"}
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("count", "exact", "few_terms"),
    [
        (19, 1, layers.DepthwiseConv2D),
        (20, 2, layers.DepthwiseConv2D),
        (20, 2, partial(layers.Conv2D, 4, groups=2)),
        (20, 0, None),
    ],
)
def test_the_first_tenth_of_the_convolutions_stays_in_float32(count, exact, few_terms):
    """Of a network with depthwise or grouped ones; of others nothing does."""
    inputs = x = keras.Input((None, None, 3))
    for number in range(count):
        make = few_terms if exact and number == 9 else partial(layers.Conv2D, 4)
        x = layers.ReLU()(make(1, name=f"c{number}")(x))
    copy = inference_copy(keras.Model(inputs, x), "bfloat16")
    policies = [copy.get_layer(f"c{number}").compute_dtype for number in range(count)]
    assert policies == ["float32"] * exact + ["bfloat16"] * (count - exact)


def test_a_pooling_and_what_follows_stay_in_float32():
    inputs = x = keras.Input((None, None, 3))
    for name in ("c0", "c1", "pooling", "head"):
        x = layers.Conv2D(4, 1, name=name)(x)
    copy = inference_copy(keras.Model(inputs, x), "bfloat16")
    policies = {layer.name: layer.compute_dtype for layer in copy.layers[1:]}
    assert policies == {
        "c0": "bfloat16",
        "c1": "bfloat16",
        "pooling": "float32",
        "head": "float32",
    }


def test_later_training_changes_nothing():
    made = parts()
    engine = make_engine(EngineSettings(), *made)
    batch = pixels(SHAPES[0])
    first = engine(batch)["gem"].numpy()
    made[0].set_weights([2 * weight + 0.1 for weight in made[0].get_weights()])
    np.testing.assert_array_equal(engine(batch)["gem"], first)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sequential_and_nested_networks(precision):
    inner = randomised(
        keras.Sequential(
            [
                keras.Input((None, None, 3)),
                layers.Rescaling(0.5),
                layers.Conv2D(8, 4, strides=4, use_bias=False),
                layers.BatchNormalization(),
            ]
        )
    )
    inputs = keras.Input((None, None, 3))
    nested = keras.Model(
        inputs, layers.ReLU()(keras.Model(inner.inputs[0], inner.outputs[0])(inputs))
    )
    batch = pixels(SHAPES[0]) / 255
    for network in (inner, nested):
        found = inference_copy(network, precision)(batch)
        tolerance = 1e-5 if precision == "float32" else 3e-2
        np.testing.assert_allclose(
            np.asarray(tf.cast(found, tf.float32)), network(batch), rtol=0, atol=tolerance
        )


def test_a_normalisation_of_vectors_stays():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3)(inputs)
    weight = layers.BatchNormalization()(layers.GlobalAveragePooling2D()(x))
    network = randomised(keras.Model(inputs, x * layers.Reshape((1, 1, 8))(weight)))
    copy = inference_copy(network)
    assert layers.BatchNormalization in map(type, copy.layers)
    batch = pixels(SHAPES[0]) / 255
    np.testing.assert_allclose(copy(batch), network(batch), rtol=1e-5, atol=1e-5)


def test_a_layer_that_cannot_be_copied():
    class Odd(layers.Layer):
        def __init__(self, needed):
            super().__init__()

        def call(self, inputs):
            return inputs

    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, Odd(1)(inputs))
    with pytest.raises(UserError, match="complete get_config"):
        make_engine(EngineSettings(), *parts(network))


def test_functions_are_engines_too():
    engine = as_engine(lambda batch: {"mean": tf.reduce_mean(batch, axis=(1, 2))})
    assert isinstance(engine, FunctionEngine) and as_engine(engine) is engine
    assert engine.traces == 0
    for shape in SHAPES:
        assert engine(pixels(shape))["mean"].shape == (shape[0], 3)
    assert engine.traces == 1
