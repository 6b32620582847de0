"""P x K batches as a pure function of (seed, step): nothing to store, nothing to lose.

A resumed run continues with the very next batch, since nothing but the seed and the number of the
step decides about it.
"""

from functools import lru_cache

import numpy as np

from darac_tf.errors import UserError

# Keeps the sampler's random numbers apart from those of others under the same seed.
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

    Attributes:
        batch_size: P * K.
        steps_per_epoch: Steps in which every class comes once, but for the rest beyond P.

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
        self._by_class = np.argsort(labels, kind="stable")
        self._counts = counts
        self._first = np.cumsum(counts) - counts
        # One epoch's permutation is asked for by all of its steps.
        self._classes_of_epoch = lru_cache(maxsize=2)(self._permuted_classes)

    def batch(self, step):
        """The images of a step.

        Args:
            step: Integer, from 0 on.

        Returns:
            int64 `(P * K,)`, the K images of a class one after another.
        """
        epoch, place = divmod(int(step), self.steps_per_epoch)
        start = place * self._classes_per_batch
        classes = self._classes_of_epoch(epoch)[start : start + self._classes_per_batch]
        return np.concatenate([self._images_of_class(label, epoch) for label in classes])

    def _permuted_classes(self, epoch):
        random = np.random.default_rng([self._seed, _STREAM, epoch])
        return random.permutation(len(self._counts))

    def _images_of_class(self, label, epoch):
        count, wanted = self._counts[label], self._images_per_class
        # A class comes at most once an epoch, so that the epoch numbers its groups of K.
        cycle, group = divmod(epoch, max(count // wanted, 1))
        random = np.random.default_rng([self._seed, _STREAM, cycle, label])
        places = (group * wanted + np.arange(wanted)) % count
        return self._by_class[self._first[label] + random.permutation(count)[places]]
