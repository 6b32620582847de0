"""What losses that classify share: a learned vector for each class, and checked labels."""

import keras
import tensorflow as tf


class ClassWeightLoss(keras.layers.Layer):
    """Base of losses that compare embeddings with a learned vector for each class.

    A Keras layer holds the weights: `trainable_variables` go to the optimiser next to the model's,
    `tf.train.Checkpoint(loss=loss)` saves them. They are float32, whatever the precision policy.

    Args:
        num_classes: Classes of the training set, at least 2. Labels are 0 to `num_classes - 1`.
        dim: Dimension of the embeddings.
        seed: int, of the initial weights (Glorot uniform).

    Attributes:
        kernel: Keras variable, `(num_classes, dim)`.

    Raises:
        ValueError: If `num_classes` or `dim` is too small.
    """

    def __init__(self, num_classes, dim, seed=0):
        super().__init__(dtype="float32")
        if num_classes < 2:
            raise ValueError(
                f"`num_classes` must be at least 2. Received: num_classes={num_classes}"
            )
        if dim < 1:
            raise ValueError(f"`dim` must be at least 1. Received: dim={dim}")
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
        """The loss of one batch: mean over its images.

        Args:
            labels: Integer classes, `(batch,)` or `(batch, 1)`, 0 to `num_classes - 1`.
            embeddings: `(batch, dim)`, any float dtype and any length; normalised here.

        Returns:
            float32 scalar, at least 0.

        Raises:
            ValueError: If labels are not integers.
            tf.errors.InvalidArgumentError: If a label is no class. XLA leaves this check out, and
                the loss is NaN instead.
        """
        labels = tf.convert_to_tensor(labels)
        if not labels.dtype.is_integer:
            raise ValueError(f"labels must be integers. Received: dtype={labels.dtype.name}")
        return super().__call__(labels, tf.convert_to_tensor(embeddings))

    def call(self, labels, embeddings):
        labels = self._checked(labels)
        logits = self._logits(labels, embeddings)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_mean(losses)

    def _logits(self, labels, embeddings):
        """float32 `(batch, num_classes)`, for int64 labels `(batch,)`."""
        raise NotImplementedError

    def _checked(self, labels):
        labels = tf.cast(tf.reshape(labels, [-1]), tf.int64)
        # On a GPU, the cross-entropy of a label that is no class is NaN instead of an error.
        is_class = (labels >= 0) & (labels < self.num_classes)
        message = f"labels must lie in [0, {self.num_classes})"
        check = tf.debugging.Assert(tf.reduce_all(is_class), [message, labels])
        # Eager mode has no operation to wait for.
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(labels)

    def get_config(self):
        return {"num_classes": self.num_classes, "dim": self.dim, "seed": self.seed}
