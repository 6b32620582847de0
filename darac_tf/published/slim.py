"""TF-Slim's ResNet50 v2, the network that the paper starts from: a TensorFlow checkpoint.

It differs from Keras's in three places, which become as they are there: the epsilon of the batch
normalisations, and the padding of the first pooling.

Source: https://github.com/tensorflow/models/tree/master/research/slim, `resnet_v2_50`.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from darac_tf.errors import UserError

_SCOPE = "resnet_v2_50"
_EPSILON = 1e-5
# Units of Keras's stages conv2 to conv5.
_UNITS = {"conv2": 3, "conv3": 4, "conv4": 6, "conv5": 3}
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def checkpoint_of(path):
    """The beginning of a checkpoint's files, which a path names, or that of its index; or None."""
    path = Path(path)
    start = path.with_suffix("") if path.suffix in (".index", ".meta") else path
    return start if Path(f"{start}.index").is_file() or _is_single(path) else None


def _is_single(path):
    """Checkpoints of before TensorFlow 1.0, such as the published one, are one file."""
    return path.suffix == ".ckpt" and path.is_file()


def slim_resnet50(checkpoint):
    """The network of Keras's ResNet50V2, with a checkpoint's weights; it takes RGB in [-1, 1].

    Raises:
        UserError: If it can't be read, or a tensor is missing or of another shape; the message
            names it.
    """
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
        shapes = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"{checkpoint}: is no checkpoint that can be read ({reason})") from error
    network = _as_in_slim(
        keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=(None, None, 3))
    )
    found = {}
    for layer in network.layers:
        names = _names(layer)
        for name, weight in zip(names, layer.weights, strict=True):
            full = f"{_SCOPE}/{name}"
            if shapes.get(full) != list(weight.shape):
                given = f"the shape {shapes[full]}" if full in shapes else "no such tensor"
                raise UserError(f"{checkpoint}: {full} has {given}, not {tuple(weight.shape)}")
        found[layer.name] = [np.asarray(reader.get_tensor(f"{_SCOPE}/{name}")) for name in names]
    for layer in network.layers:
        layer.set_weights(found[layer.name])
    return network


def _as_in_slim(network):
    def changed(layer):
        config = layer.get_config()
        if isinstance(layer, layers.BatchNormalization):
            config["epsilon"] = _EPSILON
        elif layer.name == "pool1_pad":
            config["padding"] = 0
        elif layer.name == "pool1_pool":
            config["padding"] = "same"
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=changed)


def _names(layer):
    """What Slim calls the weights of a layer of Keras's ResNet50V2, in Keras's order."""
    if not layer.weights:
        return []
    if layer.name == "conv1_conv":
        return ["conv1/weights", "conv1/biases"]
    if layer.name == "post_bn":
        return [f"postnorm/{part}" for part in _NORM]
    stage, block, part = layer.name.split("_", 2)
    unit = f"block{int(stage[-1]) - 1}/unit_{block.removeprefix('block')}/bottleneck_v2"
    if part == "preact_bn":
        return [f"{unit}/preact/{each}" for each in _NORM]
    number, kind = part.split("_")
    if kind == "bn":
        return [f"{unit}/conv{number}/BatchNorm/{each}" for each in _NORM]
    name = "shortcut" if number == "0" else f"conv{number}"
    return [f"{unit}/{name}/{each}" for each in ("weights", "biases")[: len(layer.weights)]]
