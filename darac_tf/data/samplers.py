"""Which images a step trains on, as a pure function of (seed, step): nothing to store or to lose.

A resumed run continues with the very next batch, since nothing but the seed and the number of the
step decides about it.
"""

from functools import lru_cache

import numpy as np

from darac_tf.errors import UserError

# Keep random numbers apart from each other's, and those of others, under the same seed.
_BALANCED_STREAM, _TEMPERED_STREAM = 1, 4


class _Sampler:
    """P x K batches over images sorted by class: 8 bytes an image where they are not in order."""

    def __init__(self, labels, classes_per_batch, images_per_class, seed):
        labels = np.asarray(labels)
        counts = np.bincount(labels)
        n_classes = np.count_nonzero(counts)
        if classes_per_batch > n_classes:
            raise UserError(
                f"--classes_per_batch={classes_per_batch} is more than the {n_classes} classes "
                "there are for training"
            )
        self.batch_size = classes_per_batch * images_per_class
        self._classes_per_batch = classes_per_batch
        self._images_per_class = images_per_class
        self._seed = seed
        # Labels in order, as of prepared images, need no array of their own.
        in_order = np.all(labels[1:] >= labels[:-1])
        self._by_class = None if in_order else np.argsort(labels, kind="stable")
        self._counts = counts
        self._first = np.cumsum(counts) - counts

    def _images_of_class(self, random, label, group=0):
        """K images of a class: a group of its permutation, which begins anew at its end."""
        count, wanted = self._counts[label], self._images_per_class
        places = (group * wanted + np.arange(wanted)) % count
        places = self._first[label] + random.permutation(count)[places]
        return places if self._by_class is None else self._by_class[places]


class ClassBalancedSampler(_Sampler):
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
        super().__init__(labels, classes_per_batch, images_per_class, seed)
        self.steps_per_epoch = len(self._counts) // classes_per_batch
        # One epoch's permutation is asked for by all of its steps.
        self._classes_of_epoch = lru_cache(maxsize=2)(self._permuted_classes)

    def batch(self, step):
        """The images of a step, counted from 0: int64 `(P * K,)`, the K of a class together."""
        epoch, place = divmod(int(step), self.steps_per_epoch)
        start = place * self._classes_per_batch
        classes = self._classes_of_epoch(epoch)[start : start + self._classes_per_batch]
        return np.concatenate([self._images_of_epoch(label, epoch) for label in classes])

    def _permuted_classes(self, epoch):
        random = np.random.default_rng([self._seed, _BALANCED_STREAM, epoch])
        return random.permutation(len(self._counts))

    def _images_of_epoch(self, label, epoch):
        # A class comes at most once an epoch, so that the epoch numbers its groups of K.
        groups = max(self._counts[label] // self._images_per_class, 1)
        cycle, group = divmod(epoch, groups)
        random = np.random.default_rng([self._seed, _BALANCED_STREAM, cycle, label])
        return self._images_of_class(random, label, group)


class TemperedSampler(_Sampler):
    """Draws P different classes a step, and K images of each, from a long tail.

    The classes of a step are drawn one after another, each with a probability proportional to
    `count ** alpha` among those not yet drawn in the step. Alpha 0 draws all classes alike,
    1 as often as they have images; 0.5 is the square root that long-tailed training often takes
    (Mahajan et al., Exploring the Limits of Weakly Supervised Pretraining, ECCV 2018).
    The images of a class are drawn without repetition; a class of fewer than K images
    repeats them as evenly as it can.

    A step takes a pass over the classes, whatever the number of images.

    Args and errors are those of `ClassBalancedSampler`, but a class without images never comes, and
    `alpha` must lie in [0, 1].

    Attributes:
        batch_size: P * K.
        steps_per_epoch: Steps that take as many images as there are, at least 1.
    """

    def __init__(self, labels, classes_per_batch, images_per_class, alpha, seed=0):
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` must lie in [0, 1]. Received: {alpha=}")
        super().__init__(labels, classes_per_batch, images_per_class, seed)
        self.steps_per_epoch = max(len(labels) // self.batch_size, 1)
        weights = np.where(self._counts > 0, np.maximum(self._counts, 1.0) ** alpha, 0)
        self._chances = weights / weights.sum()

    def batch(self, step):
        """The images of a step, counted from 0: int64 `(P * K,)`, the K of a class together."""
        random = np.random.default_rng([self._seed, _TEMPERED_STREAM, int(step)])
        n_classes, wanted = len(self._chances), self._classes_per_batch
        classes = random.choice(n_classes, wanted, replace=False, p=self._chances)
        return np.concatenate([self._images_of_class(random, label) for label in classes])


class TupleSampler:
    """Walks through a table of tuples of images, int `(n, images of a tuple)`.

    It gives `tuples_per_batch` a step, from `first_step` of the run on.
    """

    def __init__(self, tuples, tuples_per_batch, first_step):
        self.batch_size = tuples_per_batch * tuples.shape[1]
        self._images = tuples.reshape(-1, self.batch_size).astype(np.int64)
        self._first = first_step

    def batch(self, step):
        """The images of a step of the run: int64 `(tuples * images of a tuple,)`."""
        return self._images[step - self._first]
