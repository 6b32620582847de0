"""The DELF network: an inner layer of a backbone, and attention over its cells, in one Keras model.

Noh et al., ICCV 2017, section 4.2.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from darac_tf.engines.inference_copy import inference_copy
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.layers import L2Normalization, l2_normalize
from darac_tf.models import Preprocessing
from darac_tf.models.backbones import load_keras_model, up_to
from darac_tf.models.folding import norm_weights

DELF_MODEL = "delf.keras"
PCA_FILE = "pca.npz"
_FEATURES, _ATTENTION = "local_features", "attention"
STRIDE = 16
# Of the statistics of batch normalisation; a training may be of a hundred steps.
_MOMENTUM = 0.9


@keras.saving.register_keras_serializable(package="darac_tf")
class AttentionScores(keras.layers.Layer):
    """How much each cell tells: `softplus(W2 relu(W1 f + b1) + b2)`, of the map's f as they are.

    Feature maps `(batch, height, width, channels)` to float32 scores `(batch, height, width)`,
    which are never negative. Both products are convolutions of 1 x 1.

    Args:
        hidden_units: Filters of the first convolution.
        seed: Of the initial weights; None for Keras' own.
        batch_norm: Whether the hidden units are normalised over the cells of a batch, which is for
            training: without it one step of Adam moves a score by more than all its cells differ,
            all scores fall to zero, and nothing is learned from there. `folded` is the same
            without.

    Source: Noh et al., ICCV 2017, section 4.2.1; the normalisation is that of the authors' code.
    """

    def __init__(self, hidden_units=512, seed=None, batch_norm=False, **kwargs):
        super().__init__(**kwargs)
        if hidden_units < 1:
            raise ValueError(f"`hidden_units` must be positive. Received: {hidden_units=}")
        self.hidden_units = hidden_units
        self.seed = seed
        self.norm = None
        if batch_norm:
            self.norm = keras.layers.BatchNormalization(momentum=_MOMENTUM, dtype="float32")

    def build(self, input_shape):
        self.kernel_1, self.bias_1 = self._layer(1, input_shape[-1], self.hidden_units)
        self.kernel_2, self.bias_2 = self._layer(2, self.hidden_units, 1)
        if self.norm:
            self.norm.build((*input_shape[:-1], self.hidden_units))

    def _layer(self, number, inputs, units):
        glorot = keras.initializers.GlorotUniform(self.seed)
        kernel = self.add_weight(name=f"kernel_{number}", shape=(inputs, units), initializer=glorot)
        return kernel, self.add_weight(name=f"bias_{number}", shape=(units,), initializer="zeros")

    def call(self, inputs, training=None):
        hidden = tf.matmul(inputs, self.kernel_1) + self.bias_1
        if self.norm:
            hidden = tf.cast(self.norm(hidden, training=training), hidden.dtype)
        scores = tf.matmul(tf.nn.relu(hidden), self.kernel_2) + self.bias_2
        return tf.nn.softplus(tf.cast(scores[..., 0], tf.float32))

    def folded(self):
        """The same scores as at inference by a built layer without batch normalisation."""
        plain = AttentionScores(
            self.hidden_units, self.seed, name=self.name, dtype=self.dtype_policy
        )
        plain.build((None, None, None, self.kernel_1.shape[0]))
        kernel_1, bias_1 = np.array(self.kernel_1), np.array(self.bias_1)
        if self.norm:
            factor, shift, mean, variance = norm_weights(self.norm)
            scale = factor / np.sqrt(variance + self.norm.epsilon)
            kernel_1, bias_1 = kernel_1 * scale, (bias_1 - mean) * scale + shift
        plain.set_weights([kernel_1, bias_1, self.kernel_2, self.bias_2])
        return plain

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[:-1])

    def get_config(self):
        own = {"hidden_units": self.hidden_units, "seed": self.seed}
        return super().get_config() | own | {"batch_norm": self.norm is not None}


@keras.saving.register_keras_serializable(package="darac_tf")
class AttentionPooling(keras.layers.Layer):
    """`sum_i alpha_i f_i / ||f_i||` over the cells i, alpha their `AttentionScores`.

    Feature maps `(batch, height, width, channels)` to float32 `(batch, channels)`. A linear
    classifier on top of it is what teaches the attention.

    Arguments as `AttentionScores`.

    Source: Noh et al., ICCV 2017, section 4.2.1, with features of unit length.
    """

    def __init__(self, hidden_units=512, seed=None, batch_norm=False, **kwargs):
        super().__init__(**kwargs)
        self.scores = AttentionScores(
            hidden_units, seed, batch_norm, name=_ATTENTION, dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.scores.build(input_shape)

    def call(self, inputs, training=None):
        scores = self.scores(inputs, training=training)
        return tf.einsum("bhw,bhwc->bc", scores, l2_normalize(inputs))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        own = {"hidden_units": self.scores.hidden_units, "seed": self.scores.seed}
        return super().get_config() | own | {"batch_norm": self.scores.norm is not None}


def build_delf(inner, preprocessing, scores):
    """Puts together an `inner_model`, the `Preprocessing` of its backbone, `AttentionScores`.

    Returns:
        Keras model of RGB pixels in [0, 255] `(batch, height, width, 3)` to float32 unit vectors
        `(batch, rows, columns, channels)` and float32 attention `(batch, rows, columns)`.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    maps = inner(preprocessing(pixels), training=False)
    features = L2Normalization(name=_FEATURES, dtype="float32")(maps)
    return keras.Model(pixels, [features, scores(maps)], name=f"delf_{inner.name}")


def save_delf(model, path):
    """Writes the model as a `.keras` file, the whole of it or nothing.

    `UserError` if the file can't be written there, or its name does not end in `.keras`.
    """
    if Path(path).suffix != ".keras":
        raise UserError(f"{path}: name the file of the model with .keras at its end")
    with atomic_path(path) as temporary:
        model.save(temporary)


def load_delf(path):
    """Reads what `save_delf` wrote to `path`, or to `delf.keras` in that folder, for inference.

    The backbone is an `engines.inference_copy` of what was written. `UserError` if there is no
    file, or it holds another kind of model.
    """
    path = Path(path)
    path = path / DELF_MODEL if path.is_dir() else path
    model = load_keras_model(path)
    layers = {layer.name: layer for layer in model.layers}
    inner = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    first = next((layer for layer in model.layers if isinstance(layer, Preprocessing)), None)
    if not {_FEATURES, _ATTENTION} <= set(layers) or not inner or not first:
        raise UserError(f"{path}: is no model of local features; train one first")
    return build_delf(inference_copy(inner), first, layers[_ATTENTION])


def inner_layer(backbone, stride=STRIDE):
    """The name of a backbone's last layer of a stride, in pixels, that everything passes through.

    Layers that a shortcut passes by hold only a part of what the network knows there, and padded
    maps don't lie where the image does: neither is taken. For `ResNet50V2` it is
    `conv4_block5_out`, because Keras' second version strides in the last block of each stack: its
    `conv4_block6_out` has stride 32. The backbone maps images `(batch, height, width, 3)` and is
    functional or sequential; `UserError` if it has no such layer.
    """
    graph = keras.Model(backbone.inputs[0], backbone.outputs)
    names = [operation.name for operation in _passages(graph)]
    strides = strides_of(backbone, names)
    fitting = [name for name, found in strides.items() if found == stride]
    if not fitting:
        known = ", ".join(sorted({f"{s:g}" for s in strides.values() if s})) or "none"
        raise UserError(
            f"backbone {backbone.name} has no layer of stride {stride} (strides there: {known}); "
            "name a layer"
        )
    return fitting[-1]


def inner_model(backbone, layer=None):
    """A backbone up to the layer of a name, None for its `inner_layer`; weights are shared.

    Keras model of a backbone's input to `(batch, rows, columns, channels)`; errors as there and as
    `up_to`.
    """
    return up_to(backbone, layer or inner_layer(backbone), backbone.name)


def strides_of(backbone, names):
    """Pixels between neighbouring cells of layers, by name; 0 for maps that don't grow."""
    model = keras.Model(backbone.inputs[0], [backbone.get_layer(name).output for name in names])
    # Every usual stride divides both sides: padding drops out of the difference.
    sides = 512, 1024
    small, large = (model.compute_output_spec(keras.KerasTensor((1, s, s, 3))) for s in sides)
    growths = [b.shape[1] - a.shape[1] for a, b in zip(small, large, strict=True)]
    return {n: 512 / growth if growth else 0 for n, growth in zip(names, growths, strict=True)}


def _passages(graph):
    """Layers with a feature map that nothing passes by, in the order of the network."""
    last_use = {}
    for number, operation in enumerate(graph.operations):
        last_use |= {id(tensor): number for tensor in keras.tree.flatten(operation.input)}
    furthest, passages = 0, []
    for number, operation in enumerate(graph.operations):
        # What left an earlier layer has arrived here at the latest.
        if furthest <= number and _has_map(operation):
            passages.append(operation)
        outputs = keras.tree.flatten(operation.output)
        furthest = max(furthest, *(last_use.get(id(tensor), 0) for tensor in outputs))
    return passages


def _has_map(operation):
    shift = keras.layers.InputLayer, keras.layers.ZeroPadding2D, keras.layers.Cropping2D
    output = operation.output
    is_layer = isinstance(operation, keras.layers.Layer) and not isinstance(operation, shift)
    return is_layer and keras.utils.is_keras_tensor(output) and len(output.shape) == 4
