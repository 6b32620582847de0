"""P x K batches for long tails: the probability of a class is a power of its number of images.

As in `data.sampling`, a batch is a function of (seed, position) alone.
"""

import numpy as np
import tensorflow as tf

from darac_tf.errors import UserError

# Keeps the sampler's random numbers apart from those of others under the same seed.
_STREAM = 4
# Draws for each class of a batch, before the slower way is gone.
_DRAWS = 2
_fold_in = tf.random.experimental.stateless_fold_in


class TemperedSampler:
    """Draws P different classes a step, and K images of each.

    The classes of a step are drawn one after another, each with a probability proportional to
    `count ** alpha` among those not yet drawn in the step. Alpha 0 draws all classes alike,
    1 as often as they have images; 0.5 is the square root that long-tailed training often takes
    (Mahajan et al., Exploring the Limits of Weakly Supervised Pretraining, ECCV 2018).
    The images of a class are drawn without repetition; a class of fewer than K images
    repeats them as evenly as it can.

    Memory: 8 bytes an image, 24 a class. Time: P log C an image, whatever the number of images.

    Args:
        labels: Integer array `(images,)`, classes 0 to C - 1; a class without images never comes.
        classes_per_batch: P.
        images_per_class: K.
        alpha: The power, in [0, 1].
        seed: Integer.

    Attributes:
        batch_size: P * K.
        steps_per_epoch: Steps that take as many images as there are, at least 1.

    Raises:
        UserError: If there are fewer than P classes.
        ValueError: If `alpha` is out of range.
    """

    def __init__(self, labels, classes_per_batch, images_per_class, alpha, seed=0):
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` must lie in [0, 1]. Received: {alpha=}")
        labels = np.asarray(labels)
        counts = np.bincount(labels)
        if classes_per_batch > np.count_nonzero(counts):
            raise UserError(
                f"--classes_per_batch={classes_per_batch} is more than the "
                f"{np.count_nonzero(counts)} classes there are for training"
            )
        self.batch_size = classes_per_batch * images_per_class
        self.steps_per_epoch = max(len(labels) // self.batch_size, 1)
        self._classes_per_batch = classes_per_batch
        self._images_per_class = images_per_class
        self._seed = seed
        weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** alpha, 0)
        up_to = np.cumsum(weights)
        # Labels in order, as of prepared images, need no array of their own.
        in_order = np.all(labels[1:] >= labels[:-1])
        by_class = None if in_order else np.argsort(labels, kind="stable")
        self._by_class = None if by_class is None else tf.constant(by_class, tf.int64)
        self._counts = tf.constant(counts, tf.int64)
        self._first = tf.constant(np.cumsum(counts) - counts, tf.int64)
        # Its last value is 1 exactly, so that every number in [0, 1) finds a class.
        self._up_to = tf.constant(up_to / up_to[-1], tf.float64)

    def image_at(self, position):
        """The index of the image at a position.

        Args:
            position: Scalar int64 tensor, from 0 on.

        Returns:
            Scalar int64 tensor.
        """
        position = tf.cast(position, tf.int64)
        step, slot = position // self.batch_size, position % self.batch_size
        key = _fold_in(tf.constant([self._seed, _STREAM]), step)
        label = self._classes(key)[slot // self._images_per_class]
        place = self._first[label] + self._image_of_class(key, label, slot)
        return place if self._by_class is None else self._by_class[place]

    def _classes(self, key):
        """int64 `(P,)`, the classes of a step in the order in which they are drawn.

        Drawing with repetition and skipping what came before is drawing without repetition. When
        too few of the draws differ, as when a few classes hold most images, the rest is drawn
        among the other classes at once.
        """
        wanted = self._classes_per_batch
        random = tf.random.stateless_uniform([_DRAWS * wanted], _fold_in(key, 0), dtype=tf.float64)
        draws = tf.searchsorted(self._up_to, random, side="right", out_type=tf.int64)
        drawn = tf.unique(draws).y[:wanted]
        return tf.cond(
            tf.size(drawn) == wanted, lambda: drawn, lambda: self._with_others(key, drawn)
        )

    def _with_others(self, key, drawn):
        """Completes a draw by exponential clocks: the next class is the one that rings first."""
        weights = self._up_to - tf.concat([[tf.zeros([], tf.float64)], self._up_to[:-1]], 0)
        random = tf.random.stateless_uniform(tf.shape(weights), _fold_in(key, 1), dtype=tf.float64)
        rings = -tf.math.log1p(-random) / weights
        never = tf.constant(np.inf, tf.float64)
        # A weight of 0 may divide 0 by 0; a class drawn already doesn't ring again.
        rings = tf.where(weights > 0, rings, never)
        rings = tf.tensor_scatter_nd_update(rings, drawn[:, None], tf.fill(tf.shape(drawn), never))
        others = tf.math.top_k(-rings, self._classes_per_batch).indices
        return tf.concat([drawn, tf.cast(others, tf.int64)], 0)[: self._classes_per_batch]

    def _image_of_class(self, key, label, slot):
        count = self._counts[label]
        place = slot % self._images_per_class % count
        seed = _fold_in(_fold_in(key, 2), label)
        return tf.random.experimental.index_shuffle(place, seed, count - 1)
