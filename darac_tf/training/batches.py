"""The batches of a run's steps, and which images are in them."""

import numpy as np

from darac_tf.data.augmentation import Augmentation
from darac_tf.data.images import check_images
from darac_tf.data.pipeline import training_batches
from darac_tf.data.training_sets import PreparedImages

_BATCHES_AHEAD = 8


def step_batches(config, training, sampling, first, replicas=None):
    """`(images, labels)` of each step from `first` on.

    Args:
        config: `TrainConfig`.
        training: `LabelledImages`, or `PreparedImages`.
        sampling: Of `make_sampling`.
        first: Steps made before.
        replicas: `Replicas` that each batch is shared out to; None for whole batches.

    Yields:
        Tensors, or with several replicas their distributed values.
    """
    augmentation = Augmentation(config.min_crop_area, flip=config.flip, light=config.light)
    for sampler, start, stop in sampling.stretches(first, config.steps):

        def batches(context=None, sampler=sampler, start=start, stop=stop):
            shares = {}
            if context is not None:
                shares["parts"] = context.num_replicas_in_sync
                per_worker = context.num_replicas_in_sync // context.num_input_pipelines
                shares["first_part"] = context.input_pipeline_id * per_worker
                shares["parts_here"] = per_worker
            return training_batches(
                training,
                sampler,
                augmentation,
                config.image_size,
                start,
                stop,
                config.seed,
                **shares,
            )

        if replicas is None or replicas.count == 1:
            yield from batches()
        else:
            yield from replicas.strategy.distribute_datasets_from_function(batches)


def names_of_step(training, sampling, step):
    """Paths of the images of a step, counted from 0."""
    sampler, _, _ = next(sampling.stretches(step, step + 1))
    return [str(training.paths[index]) for index in sampler.batch(step)]


def check_images_around(training, sampling, step):
    """Reads the images around a failed step one by one, and names the bad one.

    Raises:
        UserError: If there is one.
    """
    sampler, _, stop = next(sampling.stretches(step, step + _BATCHES_AHEAD))
    indices = np.unique([sampler.batch(each) for each in range(step, stop)])
    if isinstance(training, PreparedImages):
        # They could be decoded when they were prepared, but the records may be damaged.
        training.examples(indices)
    else:
        check_images(training.paths[indices])
