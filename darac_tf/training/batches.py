"""The batches of a run's steps: which images are in them, decoded, augmented and shared out."""

import numpy as np
import tensorflow as tf

from darac_tf.data.augmentation import Augmentation, CropShapes
from darac_tf.data.images import check_images
from darac_tf.data.pipeline import AS_WRITTEN, untuned
from darac_tf.data.samplers import ClassBalancedSampler, TemperedSampler
from darac_tf.data.training_sets import PreparedImages
from darac_tf.errors import UserError
from darac_tf.threads import CORES
from darac_tf.training.mining import HardNegatives

_BATCHES_AHEAD = 8
# Keeps the augmentation's random numbers apart from those of the sampler under the same seed.
_STREAM = 2


class StepBatches:
    """The batches of a run, each of which follows from the seed and its step.

    Args:
        config: `TrainConfig`.
        images: `LabelledImages` or `PreparedImages` to train on.
        epochs: Of `make_sampling`.
        replicas: `Replicas` that each batch is shared out to; None for whole batches.
    """

    def __init__(self, config, images, epochs, replicas=None):
        self._config = config
        self._images = images
        self._epochs = epochs
        self._replicas = replicas

    def after(self, step):
        """Yields `(images, labels)` of each step after `step` steps, to the last one.

        They are tensors, or with several replicas their distributed values.
        """
        config = self._config
        names = ("flip", "light", "orientation", "max_pixels")
        how = {name: getattr(config, name) for name in names}
        augmentation = Augmentation(config.min_crop_area, **how)
        shapes = CropShapes(config.crop_shapes, config.image_size, config.seed)
        for sampler, start, stop in self._epochs(step, config.steps):
            arguments = (sampler, augmentation, shapes, start, stop, config.seed)

            def batches(context=None, arguments=arguments):
                return training_batches(self._images, *arguments, _shares(context))

            if self._replicas is None or self._replicas.count == 1:
                yield from batches()
            else:
                yield from self._replicas.strategy.distribute_datasets_from_function(batches)

    def names(self, step):
        """Paths of the images of a step, counted from 0."""
        sampler, _, _ = next(self._epochs(step, step + 1))
        return [str(self._images.paths[index]) for index in sampler.batch(step)]

    def check_around(self, step):
        """Reads images around a failed step one by one; `UserError` names the bad one, if any."""
        sampler, _, stop = next(self._epochs(step, step + _BATCHES_AHEAD))
        indices = np.unique([sampler.batch(each) for each in range(step, stop)])
        if isinstance(self._images, PreparedImages):
            # They could be decoded when they were prepared, but the records may be damaged.
            self._images.examples(indices)
        else:
            check_images(self._images.paths[indices], self._images.max_pixels)


def one_sampler(sampler):
    """The sampling of a run whose batches are all of one sampler, as of `make_sampling`."""

    def epochs(first, last):
        if first < last:
            yield sampler, first, last

    return epochs


def make_sampling(config, run_dir, model, images):
    """The sampling that a run's settings name: class-balanced batches, or mined tuples.

    Of a `TrainConfig`, the run directory, where mined tuples are kept, the descriptor that
    negatives are mined with, and the `LabelledImages` of the training set. A function of the first
    step and the one to stop before, which yields `(sampler, start, stop)` of each epoch between
    them: its steps from `start` up to but without `stop`. `UserError` if the training set has too
    few classes, or no files to mine in.
    """
    if config.mining != "none":
        if isinstance(images, PreparedImages):
            raise UserError(f"--mining={config.mining} needs image files: use the unprepared set")
        return HardNegatives(config, run_dir, model, images).epochs
    config = config.for_classes(len(images.class_names))
    shape = config.classes_per_batch, config.images_per_class
    if config.class_power is None:
        return one_sampler(ClassBalancedSampler(images.labels, *shape, config.seed))
    return one_sampler(TemperedSampler(images.labels, *shape, config.class_power, config.seed))


def training_batches(
    images, sampler, augmentation, shapes, first_step, last_step, seed, shares=(1, 0, 1)
):
    """Batches of augmented images, from `first_step` up to but without `last_step`.

    The same step gives the same batch, whichever step the pipeline starts with, and however many
    parts it is cut into.

    Args:
        images: `LabelledImages`, or `PreparedImages`.
        sampler: A sampler over its labels.
        augmentation: `Augmentation`.
        shapes: `CropShapes`.
        first_step: The first step.
        last_step: The step to stop before.
        seed: Integer.
        shares: Equal parts that each batch is cut into, in order, one a replica; the first part to
            give, counted from 0; how many to give, one after another.

    Returns:
        Dataset of `(float32 (n, height, width, 3) in [0, 255], int32 (n,))`, n = P * K / parts.
    """
    labels = tf.constant(images.labels, tf.int32)
    parts, first_part, parts_here = shares
    part = sampler.batch_size // parts
    mine = slice(first_part * part, (first_part + parts_here) * part)
    stream = tf.random.experimental.stateless_fold_in([seed, _STREAM], 0)[0]

    @AS_WRITTEN
    def choose(step):
        # All of a step at once: one image at a time, it took as long as the crop.
        chosen = tf.numpy_function(sampler.batch, [step], tf.int64, stateful=False)
        chosen = tf.ensure_shape(chosen, [sampler.batch_size])
        draws = augmentation.draw(sampler.batch_size, tf.stack([stream, tf.cast(step, tf.int32)]))
        shape = tf.numpy_function(shapes.of_step, [step], tf.int64, stateful=False)
        shape = tf.fill([sampler.batch_size], tf.ensure_shape(tf.cast(shape, tf.int32), []))
        return tf.nest.map_structure(lambda rows: rows[mine], (chosen, draws, shape))

    @AS_WRITTEN
    def load(index, draws, shape):
        pixels = augmentation(images.read(index), shapes.sides, draws, shape)
        return pixels, labels[index]

    chosen = tf.data.Dataset.range(first_step, last_step).map(choose).unbatch()
    loaded = chosen.map(load, num_parallel_calls=CORES, deterministic=True)
    return untuned(loaded.batch(part, drop_remainder=True).prefetch(2))


def _shares(context):
    """The `shares` of `training_batches` that a worker loads; all of a batch where it is alone."""
    if context is None:
        return 1, 0, 1
    here = context.num_replicas_in_sync // context.num_input_pipelines
    return context.num_replicas_in_sync, context.input_pipeline_id * here, here
