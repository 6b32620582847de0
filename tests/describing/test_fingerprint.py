"""Fingerprints: the same for the same model, whatever its layers are called; else different."""

import json

import keras
import numpy as np
import pytest

from darac_tf.describing.fingerprint import model_fingerprint, without_layer_names
from darac_tf.models import Preprocessing
from darac_tf.models.descriptor import make_pooling


def _model(activation="relu", name=None, dtype="float32", filters=4, weight=None, skip=True):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(filters, 3, padding="same", dtype=dtype)(inputs)
    y = keras.layers.Activation(activation, name=name, dtype=dtype)(x)
    added = keras.layers.Add(dtype=dtype)([x if skip else y, y])
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, dtype=dtype)(added))
    if weight is not None:
        kernel = model.layers[1].kernel
        values = kernel.numpy()
        values[0, 0, 0, 0] += weight
        kernel.assign(values)
    return model


def test_the_same_model_built_again_with_other_names():
    first = model_fingerprint(_model())
    keras.layers.Conv2D(3, 3)
    assert model_fingerprint(_model()) == first
    assert model_fingerprint(_model(name="other")) == first
    assert len(first) == 32


def test_saving_and_loading_changes_nothing(tmp_path):
    model = _model()
    model.save(tmp_path / "m.keras")
    model(np.zeros((1, 8, 8, 3), np.float32))
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert model_fingerprint(model) == model_fingerprint(loaded)


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "tanh"},
        {"activation": "tanh", "name": "tanh"},
        {"dtype": "mixed_float16"},
        {"filters": 5},
        {"weight": 1e-6},
        {"skip": False},
    ],
)
def test_other_models_are_told_apart(change):
    base = _model(name=change.get("name") and "relu")
    assert model_fingerprint(_model(**change)) != model_fingerprint(base)


def test_parts_count_and_their_order():
    network = _model()
    seen = {
        model_fingerprint(network),
        model_fingerprint(network, Preprocessing("tf")),
        model_fingerprint(network, Preprocessing("torch")),
        model_fingerprint(network, Preprocessing("tf"), make_pooling("gem")),
        model_fingerprint(network, Preprocessing("tf"), make_pooling("mac")),
        model_fingerprint(b"ab", b"c"),
        model_fingerprint(b"a", b"bc"),
        model_fingerprint("ab", "c"),
    }
    assert len(seen) == 8


def test_nothing_and_other_things_are_refused():
    with pytest.raises(ValueError, match="Received: nothing"):
        model_fingerprint()
    with pytest.raises(ValueError, match="Received: function"):
        model_fingerprint(lambda pixels: pixels)


def test_only_names_of_layers_are_replaced():
    text = json.dumps(without_layer_names(_model(name="relu").get_config()), default=str)
    assert '"activation": "relu"' in text and '"name": "relu"' not in text
    assert '"config": {"name": "float32"}' in text
    assert "conv2d" not in text
