"""ArcFace and CosFace: softmax on cosines, with a margin for the right class."""

import math

import keras
import tensorflow as tf

from darac_tf.layers import l2_normalize
from darac_tf.losses.class_weight_loss import ClassWeightLoss
from darac_tf.losses.pair_loss import check_above_zero

# Squared lengths below this count as zero: far below float32's rounding of unit vectors.
_TINY_SQUARED_LENGTH = 1e-24


class MarginSoftmaxLoss(ClassWeightLoss):
    """Cross-entropy of `scale * cos(embedding, class vector)`, the right class made harder."""

    def __init__(self, num_classes, dim, margin, scale, seed):
        check_above_zero("margin", margin)
        check_above_zero("scale", scale)
        super().__init__(num_classes, dim, seed)
        self.margin = float(margin)
        self.scale = float(scale)

    def _logits(self, labels, embeddings):
        unit = l2_normalize(embeddings)
        classes = l2_normalize(tf.convert_to_tensor(self.kernel))
        cosines = tf.matmul(unit, classes, transpose_b=True)
        target = self._target(unit, tf.gather(classes, labels))
        is_target = tf.one_hot(labels, self.num_classes, True, False, dtype=tf.bool)
        return self.scale * tf.where(is_target, target[:, tf.newaxis], cosines)

    def _target(self, unit, of_class):
        """What replaces the cosine of unit embeddings and their class vectors, `(batch,)`."""
        raise NotImplementedError

    def get_config(self):
        return super().get_config() | {"margin": self.margin, "scale": self.scale}


@keras.saving.register_keras_serializable(package="darac_tf")
class CosFaceLoss(MarginSoftmaxLoss):
    """Softmax cross-entropy with `scale * (cos(t) - margin)` for the right class.

    t is the angle between embedding and class vector; other classes have `scale * cos(t)`.

    Args:
        num_classes: Classes of the training set, at least 2.
        dim: Dimension of the embeddings.
        margin: Above 0, as a cosine.
        scale: Above 0.
        seed: int, of the initial class vectors.

    Raises:
        ValueError: If an argument is none of the above.

    Source: Wang et al., CosFace (arXiv 1801.09414), equation 4, with its margin and scale.
    """

    def __init__(self, num_classes, dim, margin=0.35, scale=64.0, seed=0):
        super().__init__(num_classes, dim, margin, scale, seed)

    def _target(self, unit, of_class):
        return tf.reduce_sum(unit * of_class, axis=1) - self.margin


@keras.saving.register_keras_serializable(package="darac_tf")
class ArcFaceLoss(MarginSoftmaxLoss):
    """Softmax cross-entropy with `scale * cos(t + margin)` for the right class.

    t is the angle between embedding and class vector; other classes have `scale * cos(t)`. Where
    `t + margin` is beyond pi, the cosine would rise again and push such an embedding away from its
    class: from `t = pi - margin` on it is `cos(t) - margin * sin(margin)` instead, which goes on
    falling, as in the authors' code. There it steps down once. The gradient is finite everywhere,
    also at t = 0 and t = pi.

    Args:
        num_classes: Classes of the training set, at least 2.
        dim: Dimension of the embeddings.
        margin: Between 0 and pi / 2, radians.
        scale: Above 0.
        seed: int, of the initial class vectors.

    Raises:
        ValueError: If an argument is none of the above.

    Source: Deng et al., ArcFace (arXiv 1801.07698), equation 3, with its margin and scale. For
    landmarks, DELG (arXiv 2001.05027) has a margin of 0.1 and a learned scale, at first 45.25.
    """

    def __init__(self, num_classes, dim, margin=0.5, scale=64.0, seed=0):
        if not 0 < margin < math.pi / 2:
            raise ValueError(
                f"`margin` must lie between 0 and pi / 2 (radians). Received: margin={margin}"
            )
        super().__init__(num_classes, dim, margin, scale, seed)

    def _target(self, unit, of_class):
        cosine = tf.reduce_sum(unit * of_class, axis=1)
        # Half the product of a rhombus' diagonals is its area, the sine. Unlike
        # sqrt(1 - cosine^2), it has digits and a gradient at both ends.
        sine = 0.5 * _length(unit - of_class) * _length(unit + of_class)
        beyond = cosine < math.cos(math.pi - self.margin)
        moved = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        return tf.where(beyond, cosine - self.margin * math.sin(self.margin), moved)


def _length(vectors):
    """Euclidean length, with a gradient of zero at zero. `(batch, dim)` to `(batch,)`."""
    squared = tf.reduce_sum(tf.square(vectors), axis=1)
    is_zero = squared < _TINY_SQUARED_LENGTH
    return tf.where(is_zero, 0.0, tf.sqrt(tf.where(is_zero, 1.0, squared)))
