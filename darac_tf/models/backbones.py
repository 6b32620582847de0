"""Convolutional networks that turn images into feature maps."""

import re
import tempfile
import zipfile
from functools import partial
from importlib.util import find_spec
from inspect import isfunction
from pathlib import Path

import keras

from darac_tf.errors import UserError
from darac_tf.hugging_face import local_copy
from darac_tf.models.efficientnet_lite import EFFICIENTNET_LITE, efficientnet_lite
from darac_tf.models.hub_backbones import HUB, hub_backbone
from darac_tf.models.preprocessing import Preprocessing, mode_of_application
from darac_tf.models.resnet_v15 import RESNET_V15, resnet_v15, torch_name
from darac_tf.models.torch_files import read_torch_file
from darac_tf.models.torch_weights import set_torch_weights

BEST_MODEL = "best.keras"
APPLICATIONS = tuple(sorted(n for n, f in vars(keras.applications).items() if isfunction(f)))
NAMES = (*APPLICATIONS, *EFFICIENTNET_LITE, *RESNET_V15)


def build_backbone(name="ResNet50V2", weights=None, layer=None):
    """A backbone and the preprocessing it needs.

    Args:
        name: One of `NAMES`: a `keras.applications` class, an `EfficientNetLite`, or a ResNet of
            version 1.5, which is torchvision's. Or the path of a saved Keras model (`.keras`) that
            maps RGB in [-1, 1], `(batch, height, width, 3)`, to feature maps `(batch, rows,
            columns, channels)`; or a trained descriptor, or its run directory, whose network is
            taken, also as `hf://USER/NAME`; or `hub:PRESET`, see `hub_backbones.hub_backbone`.
        weights: `"imagenet"` (downloaded by Keras once, then cached; of an `EfficientNetLite` from
            its installed package), `"none"` (random), or the path of a weight file for `name`: of a
            ResNet of version 1.5, torchvision's `.pth`. None stands for `"imagenet"` with a name,
            and for the file's own weights with a saved model.
        layer: Name of the layer to stop at; None for all of it.

    Returns:
        `(model, preprocessing)`: the Keras model, and the `Preprocessing` of its pixels.

    Raises:
        UserError: If the name is unknown, a file is missing or does not fit, or the weights cannot
            be downloaded.
    """
    if name in NAMES:
        network = _named(name, weights or "imagenet")
        return up_to(network, layer, name), Preprocessing(mode_of_application(name))
    if name.startswith(HUB):
        network, preprocessing = hub_backbone(name, weights)
        _check_feature_maps(network, name)
        return up_to(network, layer, name), preprocessing
    path, preprocessing = Path(local_copy(name)), Preprocessing("tf")
    if not path.exists():
        raise UserError(
            f"--backbone: {name!r} is neither a file, hub:PRESET nor one of "
            f"{', '.join(EFFICIENTNET_LITE)}, "
            f"{', '.join(RESNET_V15)} and keras.applications ({', '.join(APPLICATIONS)})"
        )
    backbone = load_keras_model(path / BEST_MODEL if path.is_dir() else path)
    if any(isinstance(each, Preprocessing) for each in backbone.layers):
        backbone, preprocessing = backbone_of(backbone)
        backbone.trainable = True  # Whatever its run has frozen.
    _check_feature_maps(backbone, name)
    return up_to(_with_weights(backbone, name, weights), layer, name), preprocessing


def backbone_of(descriptor):
    """The `(network, preprocessing)` that a descriptor is made of."""
    network = next(layer for layer in descriptor.layers if isinstance(layer, keras.Model))
    preprocessing = next(layer for layer in descriptor.layers if isinstance(layer, Preprocessing))
    return network, preprocessing


def load_keras_model(path):
    """Reads a `.keras` file; safe mode, so that no file can run code of its own.

    `UserError` if the file is missing or is no Keras model.
    """
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():
        raise UserError(f"{path}: no such .keras model; give the path of a model saved by Keras 3")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged or foreign file.
        if "keras_hub" in str(error) and find_spec("keras_hub") is None:
            raise UserError(f"{path}: needs KerasHub: pip install 'darac-tf[hub]'") from error
        raise UserError(f"{path}: is no readable Keras model ({_first_line(error)})") from error


def _named(name, weights):
    if name in RESNET_V15:
        return _resnet_v15(name, weights)
    if name in EFFICIENTNET_LITE:
        make = partial(efficientnet_lite, name)
    else:
        network = getattr(keras.applications, name)
        make = partial(network, include_top=False, input_shape=(None, None, 3))
    if weights == "imagenet":
        try:
            return make(weights="imagenet")
        except UserError:
            raise
        except Exception as error:
            raise UserError(_download_advice(name, error)) from error
    return _with_weights(make(weights=None), name, weights, is_fresh=True)


def _resnet_v15(name, weights):
    if weights == "imagenet":
        raise UserError(
            f"--backbone={name}: its ImageNet weights are torchvision's; give their file as "
            "--backbone_weights=FILE.pth, or --backbone_weights=none"
        )
    tensors = None if weights == "none" else read_torch_file(weights)
    network = resnet_v15(name)
    if tensors is not None:
        if not isinstance(tensors, dict) or "conv1.weight" not in tensors:
            raise UserError(f"--backbone_weights: {weights} holds no network of torchvision")
        set_torch_weights(network, tensors, torch_name, weights, ["fc."])
    return network


def up_to(backbone, layer, name):
    """A backbone up to the layer of a name, None for all of it; weights are shared.

    `UserError`, which calls it `name`, if it has no such layer, or that gives no feature maps.
    """
    if layer is None:
        return backbone
    known = [each.name for each in backbone.layers]
    if layer not in known:
        last = ", ".join(known[-8:])
        raise UserError(f"--layer: {name} has no layer {layer!r}; its last ones are {last}")
    inner = keras.Model(backbone.inputs[0], backbone.get_layer(layer).output, name=backbone.name)
    _check_feature_maps(inner, f"{name} up to {layer}")
    return inner


def _with_weights(backbone, name, weights, is_fresh=False):
    if weights is None or (is_fresh and weights == "none"):
        return backbone
    if weights == "none":
        return keras.models.clone_model(backbone)
    if weights == "imagenet":
        raise UserError(
            f"--backbone_weights=imagenet is for networks by name; {name} holds its own weights: "
            "leave the flag out"
        )
    if not Path(weights).is_file():
        raise UserError(f"--backbone_weights: {weights!r} is not imagenet, none or a file")
    try:
        _load_weights(backbone, weights)
    except Exception as error:  # Wrong layers, wrong shapes, no HDF5: each raises another kind.
        raise UserError(
            f"--backbone_weights: {weights} does not fit {name} without its top "
            f"({_first_line(error)})"
        ) from error
    return backbone


def _load_weights(model, path):
    """Reads a file of weights, or those of a saved model."""
    if Path(path).suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo("model.weights.h5")
            # As Keras writes them; compressed, a small file could fill the disk.
            if member.compress_type == zipfile.ZIP_STORED:
                # Keras would look up each weight within the archive: three times as long.
                with tempfile.TemporaryDirectory() as folder:
                    model.load_weights(archive.extract(member, folder))
                return
    model.load_weights(path)


def _check_feature_maps(backbone, name):
    takes, gives = getattr(backbone, "input_shape", None), getattr(backbone, "output_shape", None)
    is_single = isinstance(takes, tuple) and isinstance(gives, tuple)
    if not is_single or len(takes) != 4 or takes[-1] != 3 or len(gives) != 4 or gives[-1] is None:
        raise UserError(
            f"--backbone: {name} must map images (batch, height, width, 3) to feature maps "
            f"(batch, rows, columns, channels); it maps {takes} to {gives}"
        )
    if takes[1:3] != (None, None):
        raise UserError(
            f"--backbone: {name} takes images of {takes[1]} x {takes[2]} only: save it with an "
            "input of shape (None, None, 3), which takes any size"
        )


def _download_advice(name, error):
    url = re.search(r"https?://\S+", str(error))
    if url is None:
        return f"--backbone={name}: ImageNet weights cannot be loaded ({_first_line(error)})"
    address = url.group().rstrip(":")
    return (
        f"--backbone_weights=imagenet: {address.rsplit('/', 1)[-1]} cannot be downloaded "
        f"({_first_line(error)}); fetch {address} where the network allows it and pass "
        "--backbone_weights=PATH, or use --backbone_weights=none"
    )


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
