"""What is left as it is: batch normalisation, and the first stages of the backbone."""

import keras

from darac_tf.errors import UserError
from darac_tf.models.descriptor import backbone_of


def set_batch_norm(model, mode, momentum=None, is_shared=False):
    """Freezes or trains every batch normalisation of a model.

    Args:
        model: Keras model.
        mode: `"frozen"`: statistics, scale and shift stay as they are; `"train"`: statistics are
            those of the batch, and all is learned.
        momentum: For `"train"`: of the moving statistics; None leaves each layer's own. Networks
            trained for a few hundred steps want 0.9, where Keras' 0.99 would lag behind.
        is_shared: For `"train"`: whether statistics are those of all replicas' images.

    Raises:
        ValueError: If `mode` is another.
    """
    if mode not in ("frozen", "train"):
        raise ValueError(f"`mode` must be frozen or train. Received: mode={mode!r}")
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = mode == "train"
            if mode == "train":
                layer.synchronized = is_shared
            if mode == "train" and momentum is not None:
                layer.momentum = momentum


def freeze_until(model, name):
    """Freezes the backbone's layers up to one, itself included.

    Those are the layers that its output depends on.

    Args:
        model: Descriptor.
        name: Name of a layer of its backbone.

    Raises:
        UserError: If there is none of that name.
    """
    network, _ = backbone_of(model)
    layers = {layer.name: layer for layer in network.layers}
    if name not in layers:
        some = [each for each in layers if each.endswith(("out", "add"))] or list(layers)
        raise UserError(
            f"--freeze_until={name}: {network.name} has no such layer; it has {', '.join(some)}"
        )
    upto = keras.Model(network.inputs, layers[name].output)
    for layer in upto.layers:
        layer.trainable = False
