"""Folding batch normalisation into the convolution before it.

With fixed statistics a batch normalisation is `y = x * scale + shift`, channel by channel. Behind a
convolution the scale goes into its kernel and the shift into its bias, and nothing is left of it.
One in front of a convolution, with a ReLU between, as most are in ResNetV2, stays.
"""

from typing import NamedTuple

import keras
import numpy as np

from darac_tf.errors import UserError


class Folding(NamedTuple):
    """How many batch normalisations there were, and how many were folded away."""

    found: int
    folded: int


def fold_batch_norm(model):
    """A copy of a model with batch normalisation folded where it can be.

    It can where its input is a `Conv2D` or `DepthwiseConv2D` without activation, which is called
    once and whose output goes nowhere else.

    Args:
        model: Functional Keras model, which may hold others. It is not changed.

    Returns:
        Tuple of the copy, which computes the same up to rounding, and a `Folding`.

    Raises:
        UserError: If a layer cannot be copied from its settings.
    """
    norms = _layers_of_type(model, keras.layers.BatchNormalization)
    norm_of = {id(conv): norm for conv, norm in _foldable(model)}
    removed = {id(norm) for norm in norm_of.values()}
    copies = []

    def copy(layer):
        # Operations that are no layers hold nothing; removed layers only stand for themselves.
        if id(layer) in removed or not isinstance(layer, keras.Layer):
            return layer
        config = layer.get_config()
        has_norm = id(layer) in norm_of
        new = type(layer).from_config(config | ({"use_bias": True} if has_norm else {}))
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
        norm = norm_of.get(id(layer))
        if norm:
            new.set_weights(_folded_weights(layer, norm))
        else:
            copy_weights(layer, new)
    return folded, Folding(len(norms), len(removed))


def copy_weights(layer, copy):
    """Gives a layer that was made from another's settings its weights too."""
    copy.set_weights(layer.get_weights())
    if isinstance(copy, keras.layers.Normalization):
        copy.finalize_state()  # it computes with values that are derived from its weights


def _layers_of_type(model, kind):
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _layers_of_type(layer, kind)
        elif isinstance(layer, kind):
            found.append(layer)
    return found


def _foldable(model):
    """Pairs of a convolution and the batch normalisation that can be folded into it."""
    pairs = []
    for inner in model.layers:
        if isinstance(inner, keras.Model):
            pairs += _foldable(inner)
    if not isinstance(model, keras.models.Sequential) and hasattr(model, "_nodes_by_depth"):
        pairs += [pair for layer in model.layers if (pair := _pair_ending_in(model, layer))]
    return pairs


def _pair_ending_in(model, norm):
    if type(norm) is not keras.layers.BatchNormalization:
        return None
    nodes = _nodes_of(model, norm)
    if len(nodes) != 1 or nodes[0].arguments.kwargs.get("training") or norm.axis not in (-1, 3):
        return None
    conv = nodes[0].input_tensors[0]._keras_history.operation
    if type(conv) not in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D):
        return None
    is_plain = (
        conv.activation is keras.activations.linear
        and conv.data_format == "channels_last"
        and len(_nodes_of(model, conv)) == 1
        and len(conv._inbound_nodes) == len(norm._inbound_nodes)
    )
    return (conv, norm) if is_plain and _consumers(model, conv) == 1 else None


def _nodes_of(model, layer):
    return [node for node in _nodes(model) if node.operation is layer]


def _nodes(model):
    """The calls of layers that a functional model is made of."""
    return [node for nodes in model._nodes_by_depth.values() for node in nodes]


def _consumers(model, layer):
    """How often the output of a layer is taken, by others or as an output of the model."""
    taken = [tensor for node in _nodes(model) for tensor in node.input_tensors]
    taken += model.outputs
    return sum(tensor._keras_history.operation is layer for tensor in taken)


def _folded_weights(conv, norm):
    """Kernel and bias, worked out in float64."""
    kernel, *bias = (np.asarray(w, np.float64) for w in conv.get_weights())
    mean, variance = (np.asarray(w, np.float64) for w in (norm.moving_mean, norm.moving_variance))
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else np.ones_like(mean)
    beta = np.asarray(norm.beta, np.float64) if norm.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    # A depthwise kernel is (rows, columns, channels, outputs of each).
    is_depthwise = type(conv) is keras.layers.DepthwiseConv2D
    shaped = scale.reshape(kernel.shape[2:]) if is_depthwise else scale
    return [kernel * shaped, beta + ((bias[0] if bias else 0.0) - mean) * scale]
