"""An inner layer of a backbone: which one, and the network up to it."""

import keras

from darac_tf.errors import UserError
from darac_tf.models.backbones import up_to

STRIDE = 16
# Shapes at two sizes that every usual stride divides: padding drops out of their difference.
_SIDES = (512, 1024)


def inner_layer(backbone, stride=STRIDE):
    """The name of the last layer of a stride that everything passes through.

    Layers that a shortcut passes by hold only a part of what the network knows there, and padded
    maps don't lie where the image does: neither is taken. For `ResNet50V2` it is
    `conv4_block5_out`, because Keras' second version strides in the last block of each stack:
    its `conv4_block6_out` has stride 32.

    Args:
        backbone: Keras model of images `(batch, height, width, 3)`, functional or sequential.
        stride: Pixels between two neighbouring cells.

    Raises:
        UserError: If it has none.
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
    """The backbone up to one of its layers; weights are shared with it.

    Args:
        backbone: See `inner_layer`.
        layer: Name of the layer; None takes `inner_layer`.

    Returns:
        Keras model of a backbone's input to `(batch, rows, columns, channels)`.

    Raises:
        UserError: If it has no such layer, or the layer does not give feature maps.
    """
    return up_to(backbone, layer or inner_layer(backbone), backbone.name)


def strides_of(backbone, names):
    """Pixels between neighbouring cells of layers, from how their maps grow with the image.

    Args:
        backbone: See `inner_layer`.
        names: Names of layers.

    Returns:
        Dictionary of name to the stride, 0 for maps that don't grow.
    """
    maps = [backbone.get_layer(name).output for name in names]
    model = keras.Model(backbone.inputs[0], maps)
    small, large = (
        model.compute_output_spec(keras.KerasTensor((1, side, side, 3))) for side in _SIDES
    )
    growths = [b.shape[1] - a.shape[1] for a, b in zip(small, large, strict=True)]
    pixels = _SIDES[1] - _SIDES[0]
    return {n: pixels / growth if growth else 0 for n, growth in zip(names, growths, strict=True)}


def _passages(graph):
    """Layers with a feature map that nothing passes by, in the order of the network."""
    place, edges = {}, []
    for number, operation in enumerate(graph.operations):
        edges += [
            (place[id(t)], number) for t in keras.tree.flatten(operation.input) if id(t) in place
        ]
        place |= {id(tensor): number for tensor in keras.tree.flatten(operation.output)}
    furthest, passages = 0, []
    by_start = {}
    for start, end in edges:
        by_start[start] = max(by_start.get(start, 0), end)
    for number, operation in enumerate(graph.operations):
        # What left an earlier layer has arrived here at the latest.
        if furthest <= number and _has_map(operation):
            passages.append(operation)
        furthest = max(furthest, by_start.get(number, 0))
    return passages


def _has_map(operation):
    shift = keras.layers.InputLayer, keras.layers.ZeroPadding2D, keras.layers.Cropping2D
    output = operation.output
    is_layer = isinstance(operation, keras.layers.Layer) and not isinstance(operation, shift)
    return is_layer and keras.utils.is_keras_tensor(output) and len(output.shape) == 4
