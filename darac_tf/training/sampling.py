"""Which images each step trains on: class-balanced batches, or mined tuples."""

from darac_tf.data.sampling import ClassBalancedSampler
from darac_tf.data.tempered_sampling import TemperedSampler
from darac_tf.data.training_sets import PreparedImages
from darac_tf.errors import UserError
from darac_tf.training.mining import HardNegatives


class OneSampler:
    """P x K batches of one sampler, for the whole run.

    Args:
        sampler: `ClassBalancedSampler` or `TemperedSampler`.
    """

    def __init__(self, sampler):
        self._sampler = sampler

    def stretches(self, first, last):
        """Yields `(sampler, start, stop)`: steps from `start` up to but without `stop`."""
        if first < last:
            yield self._sampler, first, last


def make_sampling(config, run_dir, model, images):
    """The sampling that a run's settings name.

    Args:
        config: `TrainConfig`.
        run_dir: Run directory, where mined tuples are kept.
        model: The descriptor that negatives are mined with.
        images: `LabelledImages` of the training set.

    Returns:
        Object with a method `stretches(first, last)`, as of `OneSampler`.

    Raises:
        UserError: If the training set has too few classes.
    """
    if config.mining != "none":
        if isinstance(images, PreparedImages):
            raise UserError(f"--mining={config.mining} needs image files: use the unprepared set")
        return HardNegatives(config, run_dir, model, images)
    shape = config.classes_per_batch, config.images_per_class
    if config.class_power is None:
        return OneSampler(ClassBalancedSampler(images.labels, *shape, config.seed))
    return OneSampler(TemperedSampler(images.labels, *shape, config.class_power, config.seed))
