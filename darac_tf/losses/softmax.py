"""Softmax cross-entropy on classes."""

import keras
import tensorflow as tf

from darac_tf.layers import l2_normalize
from darac_tf.losses.class_weight_loss import ClassWeightLoss
from darac_tf.losses.pair_loss import check_above_zero


@keras.saving.register_keras_serializable(package="darac_tf")
class SoftmaxLoss(ClassWeightLoss):
    """Cross-entropy of a linear classifier on the L2-normalised embedding.

    `logits = scale * (x / ||x||) . kernel^T + bias`, with a learned kernel and bias. Descriptors
    are compared by direction, so the classifier sees the direction alone. The fixed scale lets the
    logits of a unit vector reach the range where softmax saturates while the kernel stays near its
    initial size, as a temperature of 1 / scale does.

    Args:
        num_classes: Classes of the training set, at least 2.
        dim: Dimension of the embeddings.
        scale: Above 0.
        seed: int, of the initial kernel; the bias starts at 0.

    Attributes:
        bias: Keras variable, `(num_classes,)`.

    Raises:
        ValueError: If an argument is none of the above.

    Source: classification on normalised features as in Wang et al. (NormFace, arXiv 1704.06369),
    here with a plain kernel and bias, and a fixed scale of our choice.
    """

    def __init__(self, num_classes, dim, scale=16.0, seed=0):
        check_above_zero("scale", scale)
        super().__init__(num_classes, dim, seed)
        self.scale = float(scale)
        self.bias = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="bias")

    def _logits(self, labels, embeddings):
        unit = l2_normalize(embeddings)
        kernel = tf.convert_to_tensor(self.kernel)
        return self.scale * tf.matmul(unit, kernel, transpose_b=True) + self.bias

    def get_config(self):
        return super().get_config() | {"scale": self.scale}
