"""One training step, traced once."""

import keras
import tensorflow as tf

from darac_tf.training.gradients import in_chunks, whole_batch


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


def make_train_step(
    model, loss, optimizer, image_size, chunk_size=None, clip_norm=None, average=None
):
    """The compiled training step.

    Args:
        model: Descriptor.
        loss: Called as `loss(labels, embeddings)`.
        optimizer: `GroupedOptimizer`.
        image_size: Side of the training images, in pixels.
        chunk_size: Images that go through the network at a time; None for the whole batch.
        clip_norm: Largest norm of the gradient of all variables together; None for any.
        average: `WeightAverage` that is updated, or None.

    Returns:
        Function of `(images (batch, size, size, 3), labels (batch,))` to the float32 loss and the
        float32 norm of the gradient, before it is clipped. It has one trace, whatever the batch.
    """
    signature = [
        tf.TensorSpec([None, image_size, image_size, 3], tf.float32),
        tf.TensorSpec([None], tf.int32),
    ]
    variables = [variable.value for variable in optimizer.variables]
    if chunk_size is None:
        compute = whole_batch(model, loss, variables)
    else:
        compute = in_chunks(model, loss, variables, chunk_size)

    @tf.function(input_signature=signature)
    def train_step(images, labels):
        value, gradients = compute(images, labels)
        norm = tf.linalg.global_norm(gradients)
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, norm)
        optimizer.apply(gradients)
        if average is not None:
            average.update()
        return value, norm

    return train_step
