"""P x K batches for long tails: the probability of a class is a power of its number of images.

As in `data.sampling`, a batch is a function of (seed, step) alone.
"""

import numpy as np

from darac_tf.errors import UserError

# Keeps the sampler's random numbers apart from those of others under the same seed.
_STREAM = 4


class TemperedSampler:
    """Draws P different classes a step, and K images of each.

    The classes of a step are drawn one after another, each with a probability proportional to
    `count ** alpha` among those not yet drawn in the step. Alpha 0 draws all classes alike,
    1 as often as they have images; 0.5 is the square root that long-tailed training often takes
    (Mahajan et al., Exploring the Limits of Weakly Supervised Pretraining, ECCV 2018).
    The images of a class are drawn without repetition; a class of fewer than K images
    repeats them as evenly as it can.

    Memory: 8 bytes an image, 24 a class. Time: a pass over the classes a step, whatever the number
    of images.

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
        # Labels in order, as of prepared images, need no array of their own.
        in_order = np.all(labels[1:] >= labels[:-1])
        self._by_class = None if in_order else np.argsort(labels, kind="stable")
        self._counts = counts
        self._first = np.cumsum(counts) - counts
        weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** alpha, 0)
        self._chances = weights / weights.sum()

    def batch(self, step):
        """The images of a step.

        Args:
            step: Integer, from 0 on.

        Returns:
            int64 `(P * K,)`, the K images of a class one after another.
        """
        random = np.random.default_rng([self._seed, _STREAM, int(step)])
        classes = random.choice(
            len(self._chances), self._classes_per_batch, replace=False, p=self._chances
        )
        places = np.concatenate([self._draw_images(random, label) for label in classes])
        return places if self._by_class is None else self._by_class[places]

    def _draw_images(self, random, label):
        places = np.arange(self._images_per_class) % self._counts[label]
        return self._first[label] + random.permutation(self._counts[label])[places]
