"""A copy of a backbone that computes the same, faster, and can't be trained.

Its layers have the form that TensorFlow's graph optimiser fuses with their neighbours. Keras writes
a batch normalisation as a product and a sum, and a residual sum as one that might broadcast;
neither is fused on CPUs. The same in one operation each is.
"""

import keras
import tensorflow as tf

from darac_tf.models.descriptor import POOLING_LAYER
from darac_tf.models.folding import copied, flat, fold_batch_norm, norm_weights

# Kernels are kept in what they compute in: rounding them takes a fiftieth of the time.
POLICIES = {"float32": "float32", "bfloat16": "bfloat16"}
# The layers of the first tenth of the convolutions stay in float32 in networks with depthwise or
# grouped ones, which have few terms for errors to cancel in: of an EfficientNet Lite2 they make
# nine tenths of the error. Of a ResNet50V2 no layer stands out, and all together lose no mAP
# (`studies.precision_by_layer`).
_EXACT_SHARE = 10
DEPTHWISE = (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
CONVOLUTIONS = (keras.layers.Conv2D, *DEPTHWISE)


def inference_copy(network, precision="float32"):
    """Copies a functional or sequential Keras model for inference; it is not changed.

    The first of what `fused_copy` gives, and its errors.
    """
    # A sequential model becomes a functional one of the same layers.
    graph = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    return fused_copy(graph, precision)[0]


def fused_copy(model, precision="float32", exact=None):
    """Copies a functional Keras model for inference; it is not changed.

    Batch normalisation is folded into convolutions where it can be; what is left of it, and
    residual sums, become operations that TensorFlow fuses. The copy takes float32, and computes in
    the `precision`, a key of `POLICIES`; of a descriptor the pooling and what follows compute in
    float32. `exact` are the layers that stay in float32, too, None for those that need it.

    Returns:
        The copy, and a `Folding`.

    Raises:
        UserError: If a layer can't be copied from its settings.
    """
    exact = {id(layer) for layer in (_exact_layers(model) if exact is None else exact)}

    def make(layer, **changes):
        policy = POLICIES["float32" if id(layer) in exact else precision]
        if _is_fixed_norm(layer):
            return FixedNorm(layer.epsilon, name=layer.name, dtype=policy)
        if _is_plain_sum(layer):
            return Sum(name=layer.name, dtype=policy)
        return copied(layer, dtype=policy, **changes)

    return fold_batch_norm(model, make)


def _exact_layers(model):
    """Those of the first convolutions where some have few terms, and the head's."""
    layers = list(flat(model))
    places = [place for place, layer in enumerate(layers) if isinstance(layer, CONVOLUTIONS)]
    is_exact = places and any(map(_has_few_terms, layers))
    exact = layers[: places[len(places) // _EXACT_SHARE]] if is_exact else []
    heads = [place for place, layer in enumerate(layers) if layer.name == POOLING_LAYER]
    return [*exact, *(layers[heads[0] :] if heads else [])]


def _has_few_terms(layer):
    """Whether a convolution sums over a part of the channels."""
    return isinstance(layer, DEPTHWISE) or getattr(layer, "groups", 1) > 1


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


class FixedNorm(keras.layers.Layer):
    """A batch normalisation with fixed `norm_weights`, fused with a ReLU behind it."""

    _NAMES = ("scale", "offset", "mean", "variance")
    weights_of = staticmethod(norm_weights)

    def __init__(self, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        # The operation takes float32 beside 16-bit maps, so no autocast.
        kind = {"initializer": "zeros", "dtype": "float32", "trainable": False, "autocast": False}
        for name in self._NAMES:  # of the operation's arguments too
            setattr(self, name, self.add_weight((input_shape[-1],), name=name, **kind))

    def call(self, inputs, mask=None):
        del mask
        weights = {name: tf.convert_to_tensor(getattr(self, name)) for name in self._NAMES}
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs, epsilon=self.epsilon, is_training=False, **weights
        ).y

    def compute_output_shape(self, input_shape):
        return input_shape


class Sum(keras.layers.Layer):
    """A sum of maps of one shape, fused with the convolution before it."""

    def call(self, inputs, mask=None):
        del mask
        return tf.add_n(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape[0]
