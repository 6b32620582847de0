"""What the digits' embeddings are trained with: `loss(labels, embeddings)`, and where they lie.

Softmax is the usual classifier, which sees embeddings as they are, in the plane. The others
normalise them, so that only their direction counts: they lie on a circle.
"""

import keras
import tensorflow as tf

from darac_tf.losses import NRALoss, SoftmaxLoss, TripletLoss

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
