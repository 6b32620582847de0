"""What every layer of the project keeps to, checked by one function."""

import json

import keras
import numpy as np
import tensorflow as tf

# (compute dtype, tolerance against float32)
PRECISIONS = (("mixed_float16", 5e-3), ("mixed_bfloat16", 4e-2))


def check_layer(layer_class, arguments, inputs, folder):
    """Config, build, eager, symbolic, graph, XLA, mixed precision, fit, `.keras`, SavedModel.

    Args:
        layer_class: The layer's class.
        arguments: Its constructor arguments.
        inputs: float32 array of one batch; the first axis is the batch.
        folder: Where files may be written.
    """
    layer = layer_class(**arguments)
    eager = layer(inputs).numpy()
    assert tuple(layer.compute_output_shape(inputs.shape)) == eager.shape
    _check_config(layer, inputs, eager)
    graph = tf.function(layer, autograph=False)(tf.constant(inputs))
    np.testing.assert_allclose(graph, eager, rtol=1e-5, atol=1e-6)
    xla = tf.function(layer, jit_compile=True, autograph=False)(tf.constant(inputs))
    np.testing.assert_allclose(xla, eager, rtol=1e-5, atol=1e-6)
    model = _symbolic_model(layer, inputs)
    np.testing.assert_allclose(model(inputs), eager, rtol=1e-5, atol=1e-6)
    _check_batch(layer, inputs, eager)
    _check_precisions(layer_class, arguments, inputs, eager)
    _check_files(model, inputs, eager, folder)
    _check_fit(layer_class, arguments, inputs)


def _symbolic_model(layer, inputs):
    free = (None,) * (inputs.ndim - 2)
    symbolic = keras.Input((*free, inputs.shape[-1]))
    return keras.Model(symbolic, layer(symbolic))


def _check_config(layer, inputs, expected):
    config = json.loads(json.dumps(layer.get_config()))
    copy = layer.__class__.from_config(config)
    copy(inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(inputs), expected)
    assert copy.get_config() == layer.get_config()


def _check_batch(layer, inputs, expected):
    """A batch of n is n batches of one, and a permuted batch is the permuted result."""
    singles = np.concatenate([layer(inputs[i : i + 1]) for i in range(len(inputs))])
    np.testing.assert_allclose(singles, expected, rtol=1e-5, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_allclose(layer(inputs[order]), expected[order], rtol=1e-5, atol=1e-6)


def _check_precisions(layer_class, arguments, inputs, expected):
    for policy, tolerance in PRECISIONS:
        mixed = layer_class(**arguments, dtype=policy)
        result = np.asarray(tf.cast(mixed(inputs), tf.float32))
        scale = np.abs(expected).max()
        assert np.abs(result - expected).max() <= tolerance * scale, policy
        assert all(v.dtype == "float32" for v in mixed.variables)


def _check_files(model, inputs, expected, folder):
    model.save(folder / "layer.keras")
    reloaded = keras.models.load_model(folder / "layer.keras")
    np.testing.assert_allclose(reloaded(inputs), expected, rtol=1e-6, atol=1e-7)
    model.export(folder / "saved_model", verbose=False)
    loaded = tf.saved_model.load(folder / "saved_model")
    np.testing.assert_allclose(loaded.serve(inputs), expected, rtol=1e-5, atol=1e-6)


def _check_fit(layer_class, arguments, inputs):
    model = keras.Sequential([layer_class(**arguments), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    history = model.fit(inputs, np.ones(model(inputs).shape), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
