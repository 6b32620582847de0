"""Losses that classify: softmax, ArcFace and CosFace, with a learned vector for each class."""

import math

import keras
import tensorflow as tf

from darac_tf.layers import l2_normalize
from darac_tf.losses.pairs import PairLoss, check_above_zero, square_root


class _ClassWeightLoss(keras.layers.Layer):
    """Base of losses that compare embeddings with a learned vector for each class.

    A Keras layer holds the weights: `trainable_variables` go to the optimiser next to the model's,
    `tf.train.Checkpoint(loss=loss)` saves them. They are float32, whatever the precision policy.

    Subclasses have `_logits(labels, embeddings)`, float32 `(batch, num_classes)` for int64 labels.
    Labels are 0 to `num_classes - 1`; `kernel` is `(num_classes, dim)`, at first Glorot uniform.
    """

    def __init__(self, num_classes, dim, seed=0):
        super().__init__(dtype="float32")
        for name, value, least in (("num_classes", num_classes, 2), ("dim", dim, 1)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
        self.num_classes = int(num_classes)
        self.dim = int(dim)
        self.seed = int(seed)
        self.kernel = self.add_weight(
            shape=(self.num_classes, self.dim),
            initializer=keras.initializers.GlorotUniform(self.seed),
            name="kernel",
        )
        self.built = True

    def __call__(self, labels, embeddings):
        """The loss of one batch: mean over its images, float32 scalar, at least 0.

        Of integer classes, `(batch,)` or `(batch, 1)`, 0 to `num_classes - 1`, and embeddings
        `(batch, dim)`, any float dtype and any length; normalised here. `ValueError` if labels are
        not integers, `tf.errors.InvalidArgumentError` if one is no class. XLA leaves this check
        out, and the loss is NaN instead.
        """
        labels = tf.convert_to_tensor(labels)
        if not labels.dtype.is_integer:
            raise ValueError(f"labels must be integers. Received: dtype={labels.dtype.name}")
        return super().__call__(labels, tf.convert_to_tensor(embeddings))

    def call(self, labels, embeddings):
        labels = self._checked(labels)
        logits = self._logits(labels, embeddings)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def _checked(self, labels):
        labels = tf.cast(tf.reshape(labels, [-1]), tf.int64)
        # On a GPU, the cross-entropy of a label that is no class is NaN instead of an error.
        is_class = (labels >= 0) & (labels < self.num_classes)
        message = f"labels must lie in [0, {self.num_classes})"
        check = tf.debugging.Assert(tf.reduce_all(is_class), [message, labels])
        # Eager mode has no operation to wait for.
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(labels)

    get_config = PairLoss.get_config


@keras.saving.register_keras_serializable(package="darac_tf")
class SoftmaxLoss(_ClassWeightLoss):
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


class _MarginSoftmaxLoss(_ClassWeightLoss):
    """Cross-entropy of `scale * cos(embedding, class vector)`, the right class made harder.

    `_target(unit, of_class)` replaces the cosine of unit embeddings and their class vectors.
    """

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


@keras.saving.register_keras_serializable(package="darac_tf")
class CosFaceLoss(_MarginSoftmaxLoss):
    """Softmax cross-entropy with `scale * (cos(t) - margin)` for the right class.

    t is the angle between embedding and class vector; other classes have `scale * cos(t)`.

    Args:
        num_classes, dim, scale, seed: As in `SoftmaxLoss`.
        margin: Above 0, as a cosine.

    Source: Wang et al., CosFace (arXiv 1801.09414), equation 4, with its margin and scale.
    """

    def __init__(self, num_classes, dim, margin=0.35, scale=64.0, seed=0):
        super().__init__(num_classes, dim, margin, scale, seed)

    def _target(self, unit, of_class):
        return tf.reduce_sum(unit * of_class, axis=1) - self.margin


@keras.saving.register_keras_serializable(package="darac_tf")
class ArcFaceLoss(_MarginSoftmaxLoss):
    """Softmax cross-entropy with `scale * cos(t + margin)` for the right class.

    t is the angle between embedding and class vector; other classes have `scale * cos(t)`. Where
    `t + margin` is beyond pi, the cosine would rise again and push such an embedding away from its
    class: from `t = pi - margin` on it is `cos(t) - margin * sin(margin)` instead, which goes on
    falling, as in the authors' code. There it steps down once. The gradient is finite everywhere,
    also at t = 0 and t = pi.

    Args:
        num_classes, dim, scale, seed: As in `SoftmaxLoss`.
        margin: Between 0 and pi / 2, radians.

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
    return square_root(tf.reduce_sum(tf.square(vectors), axis=1))
