"""P x K batches as a pure function of (seed, position): nothing to store, nothing to lose.

Position `n` of the endless training sequence is slot `n % (P * K)` of step `n // (P * K)`. Which
image that is, is worked out from the seed and `n` alone, so that a resumed run continues with the
very next image.
"""

import numpy as np
import tensorflow as tf

from darac_tf.errors import UserError

# Keeps the sampler's random numbers apart from those of the augmentation under the same seed.
_STREAM = 1


class ClassBalancedSampler:
    """Draws P classes a step and K images of each.

    The classes of an epoch are a random permutation, cut into steps of P, so that no class comes
    twice in a step and all come equally often (those beyond a multiple of P wait for another
    epoch's permutation). The images of a class are permuted likewise and cut into groups of K; a
    class of fewer than K images repeats some.

    Args:
        labels: Integer array `(images,)`, classes 0 to C - 1, each with an image.
        classes_per_batch: P.
        images_per_class: K.
        seed: Integer.

    Raises:
        UserError: If there are fewer than P classes.
    """

    def __init__(self, labels, classes_per_batch, images_per_class, seed=0):
        labels = np.asarray(labels)
        counts = np.bincount(labels)
        if classes_per_batch > len(counts):
            raise UserError(
                f"--classes_per_batch={classes_per_batch} is more than the {len(counts)} classes "
                "there are for training"
            )
        self.batch_size = classes_per_batch * images_per_class
        self.steps_per_epoch = len(counts) // classes_per_batch
        self._classes_per_batch = classes_per_batch
        self._images_per_class = images_per_class
        self._seed = seed
        self._by_class = tf.constant(np.argsort(labels, kind="stable"), tf.int64)
        self._counts = tf.constant(counts, tf.int64)
        self._first = tf.constant(np.cumsum(counts) - counts, tf.int64)

    def image_at(self, position):
        """The index of the image at a position.

        Args:
            position: Scalar int64 tensor, from 0 on.

        Returns:
            Scalar int64 tensor.
        """
        step, slot = position // self.batch_size, position % self.batch_size
        epoch, step_of_epoch = step // self.steps_per_epoch, step % self.steps_per_epoch
        place = step_of_epoch * self._classes_per_batch + slot // self._images_per_class
        label = self._shuffled(place, len(self._counts), tf.stack([epoch, -1]))
        return tf.gather(self._by_class, self._image_of_class(label, epoch, slot))

    def _image_of_class(self, label, epoch, slot):
        count = self._counts[label]
        # A class comes at most once an epoch, so that the epoch numbers its groups of K.
        groups = tf.maximum(count // self._images_per_class, 1)
        cycle, group = epoch // groups, epoch % groups
        place = (group * self._images_per_class + slot % self._images_per_class) % count
        return self._first[label] + self._shuffled(place, count, tf.stack([cycle, label]))

    def _shuffled(self, index, count, key):
        """Where a permutation of `count` that depends on the key takes `index`."""
        fold_in = tf.random.experimental.stateless_fold_in
        seed = fold_in(fold_in(tf.constant([self._seed, _STREAM]), key[0]), key[1])
        last = tf.cast(count, tf.int64) - 1
        return tf.random.experimental.index_shuffle(index, seed, last)
