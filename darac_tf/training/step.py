"""One training step, traced once."""

import keras
import tensorflow as tf


def set_batch_norm(model, mode, momentum=None):
    """Freezes or trains every batch normalisation of a model.

    Args:
        model: Keras model.
        mode: `"frozen"`: statistics, scale and shift stay as they are; `"train"`: statistics are
            those of the batch, and all is learned.
        momentum: For `"train"`: of the moving statistics; None leaves each layer's own. Networks
            trained for a few hundred steps want 0.9, where Keras' 0.99 would lag behind.

    Raises:
        ValueError: If `mode` is another.
    """
    if mode not in ("frozen", "train"):
        raise ValueError(f"`mode` must be frozen or train. Received: mode={mode!r}")
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = mode == "train"
            if mode == "train" and momentum is not None:
                layer.momentum = momentum


def make_train_step(model, loss, optimizer, image_size):
    """The compiled training step.

    Args:
        model: Descriptor.
        loss: Called as `loss(labels, embeddings)`.
        optimizer: `GroupedOptimizer`.
        image_size: Side of the training images, in pixels.

    Returns:
        Function of `(images (batch, size, size, 3), labels (batch,))` to the float32 loss and the
        float32 norm of the gradient. It has one trace, whatever the batch.
    """
    signature = [
        tf.TensorSpec([None, image_size, image_size, 3], tf.float32),
        tf.TensorSpec([None], tf.int32),
    ]

    @tf.function(input_signature=signature)
    def train_step(images, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        gradients = tape.gradient(value, [variable.value for variable in optimizer.variables])
        optimizer.apply(gradients)
        return value, tf.linalg.global_norm(gradients)

    return train_step
