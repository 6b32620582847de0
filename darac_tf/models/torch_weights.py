"""Gives a Keras network the weights of the PyTorch network that it repeats."""

import re

import numpy as np
from keras import layers

from darac_tf.errors import UserError

# What a state dict holds besides weights.
_NOT_WEIGHTS = re.compile(r"(^|\.)num_batches_tracked$")


def set_torch_weights(network, tensors, name_of, source, ignored=()):
    """Sets all weights of a network, each from a tensor of a state dict.

    Convolutions, batch normalisations and dense layers are turned from PyTorch's form to Keras's.

    Args:
        network: Keras model.
        tensors: Dictionary of name to array, as of `torch_files.read_torch_file`.
        name_of: Function of a layer's name to the beginning of its tensors' names.
        source: What the tensors are of, for messages.
        ignored: Beginnings of the names of tensors that the network has no use for.

    Raises:
        UserError: If a tensor is missing, of another shape or not finite, or of no layer. The
            network is unchanged then.
    """
    found, used = [], set()
    for layer in network.layers:
        parts = _parts(layer)
        names = [f"{name_of(layer.name)}.{part}" for part, _ in parts]
        used.update(names)
        weights = []
        for name, (_, turned), weight in zip(names, parts, layer.weights, strict=True):
            if name not in tensors:
                raise UserError(f"{source}: has no tensor {name!r}, which {network.name} needs")
            array = np.asarray(tensors[name])
            array = array.transpose(turned) if array.ndim == len(turned) else array
            if array.shape != tuple(weight.shape):
                expected = tuple(np.array(weight.shape)[np.argsort(turned)])
                raise UserError(
                    f"{source}: {name!r} has the shape {tensors[name].shape}, and "
                    f"{network.name} needs {tuple(map(int, expected))}"
                )
            if not np.isfinite(array).all():
                raise UserError(f"{source}: {name!r} is not finite (NaN or infinity)")
            weights.append(array)
        found.append((layer, weights))
    rest = [n for n in tensors if n not in used and not _NOT_WEIGHTS.search(n)]
    rest = [name for name in rest if not name.startswith(tuple(ignored))]
    if rest:
        raise UserError(f"{source}: {rest[0]!r} is of no layer of {network.name}")
    for layer, weights in found:
        layer.set_weights(weights)


def _parts(layer):
    """The tensors of a layer, in Keras's order: name, and its axes as Keras has them."""
    if isinstance(layer, layers.BatchNormalization):
        return [(name, (0,)) for name in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, layers.DepthwiseConv2D):
        kernel = (2, 3, 0, 1)
    elif isinstance(layer, layers.Conv2D):
        kernel = (2, 3, 1, 0)
    elif isinstance(layer, layers.Dense):
        kernel = (1, 0)
    else:
        return []
    return [("weight", kernel), *([("bias", (0,))] if layer.use_bias else [])]
