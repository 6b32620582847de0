"""Folding batch normalisation into the convolution before it.

With fixed statistics a batch normalisation is `y = x * scale + shift`, channel by channel. Behind a
convolution the scale goes into its kernel and the shift into its bias, and nothing is left of it.
One in front of a convolution, with a ReLU between, as most are in ResNetV2, stays.
"""

from collections import Counter
from typing import NamedTuple

import keras
import numpy as np

from darac_tf.errors import UserError


class Folding(NamedTuple):
    """How many batch normalisations there were, and how many were folded away."""

    found: int
    folded: int


def copied(layer, **changes):
    """A layer of the same settings but for some, without weights yet."""
    config = layer.get_config() | changes
    if type(layer).__module__.startswith("keras."):
        # Zeros in place of random numbers that weights replace at once: half the time of a copy.
        names = [name for name, how in config.items() if name.endswith("_initializer") and how]
        config |= dict.fromkeys(names, "zeros")
    return type(layer).from_config(config)


def fold_batch_norm(model, make=copied):
    """A copy of a model with batch normalisation folded where it can be, and a `Folding`.

    It can where its input is a `Conv2D` or `DepthwiseConv2D` without activation, which is called
    once and whose output goes nowhere else. The model is a functional Keras model, which may hold
    others, and is not changed; the copy computes the same up to rounding. `make` is a function like
    `copied`, of the layers that remain; one of another kind has a method `weights_of`, of the layer
    in whose place it is. `UserError` if a layer cannot be copied from its settings.
    """
    norms = [x for x in flat(model) if isinstance(x, keras.layers.BatchNormalization)]
    norm_of = {id(conv): norm for conv, norm in _foldable(model)}
    removed = {id(norm) for norm in norm_of.values()}
    copies = []

    def copy(layer):
        # Operations that are no layers hold nothing; removed layers only stand for themselves.
        if id(layer) in removed or not isinstance(layer, keras.Layer):
            return layer
        new = make(layer, **({"use_bias": True} if id(layer) in norm_of else {}))
        copies.append((layer, new))
        return new

    def call(layer, *args, **kwargs):
        return args[0] if id(layer) in removed else layer(*args, **kwargs)

    try:
        folded = keras.models.clone_model(
            model, clone_function=copy, call_function=call, recursive=True
        )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{model.name}: a layer of it can't be copied from its settings ({error}); give it a "
            "complete get_config"
        ) from error
    for layer, new in copies:
        if norm := norm_of.get(id(layer)):
            new.set_weights(_folded_weights(layer, norm))
        else:
            _copy_weights(layer, new)
    return folded, Folding(len(norms), len(removed))


def _copy_weights(layer, copy):
    is_other = hasattr(copy, "weights_of")
    copy.set_weights(copy.weights_of(layer) if is_other else layer.get_weights())
    if isinstance(copy, keras.layers.Normalization):
        copy.finalize_state()  # it computes with values that are derived from its weights


def norm_weights(norm):
    """Factor, shift, mean and variance of a `BatchNormalization`, `(channels,)` each."""
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    factor = np.asarray(norm.gamma) if norm.scale else np.ones_like(mean)
    shift = np.asarray(norm.beta) if norm.center else np.zeros_like(mean)
    return [factor, shift, mean, variance]


def flat(model):
    """Layers of a model, those of models in it in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat(layer)
        else:
            yield layer


def _foldable(model):
    """Pairs of a convolution and the batch normalisation that can be folded into it."""
    pairs = []
    for inner in model.layers:
        if isinstance(inner, keras.Model):
            pairs += _foldable(inner)
    if not isinstance(model, keras.models.Sequential) and hasattr(model, "_nodes_by_depth"):
        # The calls of layers that a functional model is made of.
        nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
        taken = [tensor for node in nodes for tensor in node.input_tensors] + model.outputs
        calls = Counter(id(node.operation) for node in nodes)
        uses = Counter(id(tensor._keras_history.operation) for tensor in taken)
        pairs += [pair for node in nodes if (pair := _pair_ending_in(node, calls, uses))]
    return pairs


def _pair_ending_in(node, calls, uses):
    """The pair of a call of a normalisation; `calls` and `uses` of outputs count by identity."""
    norm = node.operation
    if type(norm) is not keras.layers.BatchNormalization or norm.axis not in (-1, 3):
        return None
    if calls[id(norm)] != 1 or node.arguments.kwargs.get("training"):
        return None
    conv = node.input_tensors[0]._keras_history.operation
    if type(conv) not in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D):
        return None
    is_plain = (
        conv.activation is keras.activations.linear
        and conv.data_format == "channels_last"
        and calls[id(conv)] == uses[id(conv)] == 1
        and len(conv._inbound_nodes) == len(norm._inbound_nodes)
    )
    return (conv, norm) if is_plain else None


def _folded_weights(conv, norm):
    """Kernel and bias, worked out in float64."""
    kernel, *bias = (np.asarray(w, np.float64) for w in conv.get_weights())
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in norm_weights(norm))
    scale = gamma / np.sqrt(variance + norm.epsilon)
    # A depthwise kernel is (rows, columns, channels, outputs of each).
    is_depthwise = type(conv) is keras.layers.DepthwiseConv2D
    shaped = scale.reshape(kernel.shape[2:]) if is_depthwise else scale
    return [kernel * shaped, beta + ((bias[0] if bias else 0.0) - mean) * scale]
