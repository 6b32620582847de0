"""A copy of a backbone that computes the same, faster, and can't be trained."""

import keras

from darac_tf.engines.inference_layers import FixedNorm, Sum
from darac_tf.models.folding import copy_weights, fold_batch_norm

# Weights of a mixed policy are kept in float32 and rounded where they are used.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
# The layers of the first tenth of the convolutions stay in float32: in 16 bits, pixels and the
# first maps lose digits that no later layer makes up for. That is nine tenths of the error of an
# EfficientNet Lite2.
_EXACT_SHARE = 10
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def inference_copy(network, precision="float32"):
    """Copies a backbone for inference.

    Batch normalisation is folded into convolutions where it can be; what is left of it, and
    residual sums, become operations that TensorFlow fuses.

    Args:
        network: Functional or sequential Keras model. It is not changed.
        precision: A key of `POLICIES`: what the layers compute in.

    Returns:
        Keras model that takes float32.

    Raises:
        UserError: If a layer can't be copied from its settings.
    """
    # A sequential model becomes a functional one of the same layers.
    graph = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    folded, _ = fold_batch_norm(graph)
    return fused_copy(folded, precision)


def fused_copy(folded, precision="float32"):
    """The same of a model whose batch normalisation is folded already (`fold_batch_norm`)."""
    exact = _first_layers(folded)
    copies = []

    def copy(layer):
        if not isinstance(layer, keras.Layer):
            return layer  # operations that are no layers hold nothing
        new = _copied(layer, POLICIES["float32" if id(layer) in exact else precision])
        copies.append((layer, new))
        return new

    fused = keras.models.clone_model(folded, clone_function=copy, recursive=True)
    for layer, new in copies:
        if isinstance(new, FixedNorm):
            new.set_weights(FixedNorm.weights_of(layer))
        else:
            copy_weights(layer, new)
    return fused


def _copied(layer, policy):
    if _is_fixed_norm(layer):
        return FixedNorm(layer.epsilon, name=layer.name, dtype=policy)
    if _is_plain_sum(layer):
        return Sum(name=layer.name, dtype=policy)
    return type(layer).from_config(layer.get_config() | {"dtype": policy})


def _first_layers(model):
    """Identities of the layers up to the last one of the first convolutions."""
    layers = list(_flat(model))
    places = [place for place, layer in enumerate(layers) if isinstance(layer, _CONVOLUTIONS)]
    count = len(places) // _EXACT_SHARE
    return {id(layer) for layer in layers[: places[count]]} if places else set()


def _flat(model):
    """Layers of a model, those of models in it in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _flat(layer)
        else:
            yield layer


def _is_fixed_norm(layer):
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and all(len(node.input_tensors[0].shape) == 4 for node in layer._inbound_nodes)
    )


def _is_plain_sum(layer):
    """Whether a sum does not broadcast, as far as shapes are known."""
    return type(layer) is keras.layers.Add and all(
        len({tuple(tensor.shape) for tensor in node.input_tensors}) == 1
        for node in layer._inbound_nodes
    )
