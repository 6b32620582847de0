"""Preprocessing equals what each keras.applications module does to its own input."""

import importlib
import inspect

import keras
import numpy as np
import pytest

from darac_tf.models import Preprocessing
from darac_tf.models.backbones import APPLICATIONS
from darac_tf.models.preprocessing import mode_of_application
from tests.helpers import slow_but
from tests.layer_contract import check_layer

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)


def test_the_applications_are_known():
    assert {"ResNet50V2", "ResNet101", "EfficientNetB0", "MobileNetV3Small"} <= set(APPLICATIONS)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_mode_equals_the_modules_own_preprocessing(name):
    source = inspect.getmodule(inspect.unwrap(getattr(keras.applications, name)))
    module = importlib.import_module(source.__name__)
    expected = np.asarray(module.preprocess_input(PIXELS.astype(np.float32)))
    found = Preprocessing(mode_of_application(name))(PIXELS)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mode_of_efficientnet_lite():
    assert mode_of_application("EfficientNetLite0") == "tf"


def test_range_of_the_default():
    extremes = np.array([[[[0, 127.5, 255]]]], np.float32)
    np.testing.assert_allclose(Preprocessing()(extremes)[0, 0, 0], [-1, 0, 1])


@pytest.mark.parametrize("mode", slow_but(["caffe"], ["tf", "caffe", "torch", "none"]))
def test_layer_contract(mode, tmp_path):
    check_layer(Preprocessing, {"mode": mode}, PIXELS.astype(np.float32), tmp_path)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="Received: mode='bgr'"):
        Preprocessing("bgr")
