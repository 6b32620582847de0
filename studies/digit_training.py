"""Trains a small network that embeds digits in two dimensions, with one of several losses.

Softmax is the usual classifier, which sees embeddings as they are, in the plane. The other losses
normalise them, so that only their direction counts: they lie on a circle.
"""

import keras
import numpy as np
import tensorflow as tf

from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.losses import NRALoss, SoftmaxLoss, TripletLoss

_BATCH = 512  # of embedding, where only memory counts
CLASSES = 10
DIM = 2
PLANE, CIRCLE = "plane", "circle"


class PlainSoftmaxLoss:
    """Cross-entropy of a linear classifier on embeddings that are not normalised.

    `-1/m sum_i log softmax(W x_i + b)_{y_i}`. It is the softmax of the paper's picture, where
    classes are rays of a plane; `losses.SoftmaxLoss` normalises its input, as descriptors are.

    Args:
        classes: How many classes there are.
        dim: Length of the embeddings.
    """

    def __init__(self, classes=CLASSES, dim=DIM):
        self._head = keras.layers.Dense(classes)
        self._head.build((None, dim))
        self._entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @property
    def trainable_variables(self):
        return self._head.trainable_variables

    def __call__(self, labels, embeddings):
        """float32 scalar of integer labels `(batch,)` and embeddings `(batch, dim)`."""
        return self._entropy(labels, self._head(tf.cast(embeddings, tf.float32)))


# name: (what makes the loss, where its embeddings lie)
LOSSES = {
    "softmax": (PlainSoftmaxLoss, PLANE),
    "normalised_softmax": (lambda: SoftmaxLoss(CLASSES, DIM), CIRCLE),
    "triplet": (TripletLoss, CIRCLE),
    "semi_hard_triplet": (lambda: TripletLoss("semi_hard"), CIRCLE),
    "nra": (NRALoss, CIRCLE),
}


def build_network(image_shape):
    """A small CNN, `(batch, height, width, 1)` in [0, 1] to embeddings `(batch, 2)` of any length.

    Args:
        image_shape: `(height, width, 1)`.
    """
    layers = [keras.Input(image_shape)]
    for channels in (32, 64):
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D())
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(DIM),
    ]
    return keras.Sequential(layers)


def batches(labels, classes_per_batch, images_per_class, steps, seed):
    """Indices of the images of each step.

    Args:
        labels: int `(images,)`.
        classes_per_batch: P.
        images_per_class: K.
        steps: Batches.
        seed: Integer.

    Returns:
        int64 `(steps, P * K)`.

    Raises:
        UserError: If there are fewer than P classes.
    """
    sampler = ClassBalancedSampler(labels, classes_per_batch, images_per_class, seed)
    return np.stack([sampler.batch(step) for step in range(steps)])


def train(network, loss, images, labels, batch_indices, learning_rate):
    """Trains the network and the loss's own variables with Adam; the rate falls as half a cosine.

    Args:
        network: Keras model, images to embeddings.
        loss: Called as `loss(labels, embeddings)`; has `trainable_variables`.
        images: float32 `(images, height, width, 1)`.
        labels: int `(images,)`.
        batch_indices: int `(steps, batch)`, see `batches`.
        learning_rate: Of the first step.

    Returns:
        float32 `(steps,)`, the loss at each step.
    """
    variables = [*network.trainable_variables, *loss.trainable_variables]
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, len(batch_indices))
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(variables)
    images, labels = tf.constant(images), tf.constant(labels, tf.int32)

    @tf.function(autograph=False)
    def step(indices):
        with tf.GradientTape() as tape:
            embeddings = network(tf.gather(images, indices), training=True)
            value = loss(tf.gather(labels, indices), embeddings)
        gradients = tape.gradient(value, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return value

    return np.array([step(tf.constant(indices)) for indices in batch_indices], np.float32)


def embed(network, images):
    """float32 `(images, 2)`, embeddings of any length."""
    starts = range(0, len(images), _BATCH)
    parts = [network(images[start : start + _BATCH], training=False) for start in starts]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])
