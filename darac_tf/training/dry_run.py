"""Builds a run, makes a few steps, and says what the whole would take; nothing is kept."""

import math
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.errors import UserError
from darac_tf.models.descriptor import backbone_of
from darac_tf.reports import markdown
from darac_tf.training.batches import OneSampler, StepBatches, make_sampling
from darac_tf.training.checkpoint import KEPT
from darac_tf.training.replicas import make_replicas
from darac_tf.training.run import check_run_dir, training_images
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step
from darac_tf.training.summary import trained_weights

_TIMED_STEPS = 3


@dataclass(frozen=True)
class Measured:
    """What a few steps took.

    Attributes:
        first: Seconds of the first step, which is traced and compiled.
        step: Median seconds of a later one, with the wait for its images.
        images: Median seconds of that wait alone.
        describe: Seconds to describe one image of the training size, or None without validation.
        memory: Bytes at the peak, of the GPU where there is one, or of the process.
    """

    first: float
    step: float
    images: float
    describe: float | None
    memory: int


def dry_run(config, run_dir):
    """Builds a run, makes a few of its steps, and leaves no file behind.

    Args:
        config: `TrainConfig`.
        run_dir: Where the run would be written; checked, not made.

    Returns:
        Markdown table: images, shapes, parameters, measured memory, and the time and disk space
        that the whole run would take.

    Raises:
        UserError: If settings, data or an earlier run do not allow the run.
    """
    if config.matching == "local":
        raise UserError("--dry_run: is not for --matching=local")
    replicas = make_replicas(config.strategy, config.replicas)
    replicas.check_batch(config)
    check_run_dir(config, Path(run_dir), resume=False)
    keras.utils.set_random_seed(config.seed)
    training, validation = training_images(config)
    state = build_state(config, len(training.class_names), replicas)
    sampling = _sampling(config, state.model, training)
    batches = StepBatches(config, training, sampling, replicas).after(0)
    measured = _measure(config, state, replicas, batches, validation is not None)
    rows = [
        *_rows_of_images(training, validation),
        *_rows_of_shapes(config, state.model, replicas),
        *_rows_of_cost(config, state, measured, 0 if validation is None else len(validation)),
    ]
    return markdown.table(["dry run", ""], rows, [False, False])


def _sampling(config, model, training):
    if config.mining == "none":
        return make_sampling(config, None, model, training)
    # Mining describes thousands of images first; batches of the same size cost the same.
    shape = config.tuples_per_batch, config.tuple_size
    return OneSampler(ClassBalancedSampler(training.labels, *shape, config.seed))


def _measure(config, state, replicas, batches, validates):
    step = make_train_step(state, config, replicas)
    batches = iter(batches)
    seconds, waits = [], []
    for _ in range(min(1 + _TIMED_STEPS, config.steps)):
        started = time.perf_counter()
        images, labels = next(batches)
        waits.append(time.perf_counter() - started)
        float(step(images, labels)[0])
        seconds.append(time.perf_counter() - started)
    describe = None
    if validates:
        describe = _seconds_to_describe(state.model, replicas.first_share(images))
    later = slice(1 if len(seconds) > 1 else 0, None)
    medians = statistics.median(seconds[later]), statistics.median(waits[later])
    return Measured(seconds[0], *medians, describe, _peak_memory())


def _seconds_to_describe(model, images):
    describe = tf.function(lambda pixels: model(pixels, training=False))
    describe(images)
    started = time.perf_counter()
    describe(images).numpy()
    return (time.perf_counter() - started) / len(images)


def _peak_memory():
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _rows_of_images(training, validation):
    rows = [("training images", f"{len(training):,} of {len(training.class_names):,} classes")]
    if validation is not None:
        found = f"{len(validation):,} of {len(validation.class_names):,} classes"
        rows.append(("validation images", found))
    return rows


def _rows_of_shapes(config, model, replicas):
    network, _ = backbone_of(model)
    size = config.image_size
    maps = network.compute_output_shape((config.batch_size, size, size, 3))
    return [
        ("batch", f"{config.batch_size} x {size} x {size} x 3 on {replicas.count} device(s)"),
        ("feature maps", " x ".join(map(str, maps))),
        ("descriptor", f"{config.batch_size} x {model.output_shape[-1]}"),
        (
            "parameters",
            f"{model.count_params():,}, of which {trained_weights(model):,} are trained",
        ),
    ]


def _rows_of_cost(config, state, measured, validation_images):
    training = measured.first + measured.step * (config.steps - 1)
    times = 1 + math.ceil(config.steps / config.val_every)
    validating = times * validation_images * (measured.describe or 0.0)
    rate = config.batch_size / measured.step
    step = f"{measured.step:.3g} s ({rate:.1f} images/s); {measured.images:.2g} s wait for images"
    whose = "GPU" if tf.config.list_logical_devices("GPU") else "process"
    rows = [
        ("memory, peak", f"{measured.memory / 2**20:,.0f} MiB of the {whose}"),
        ("first step", f"{measured.first:.3g} s, with tracing"),
        ("step", step),
        ("training", f"{_duration(training)} for {config.steps:,} steps"),
    ]
    if validation_images:
        rows.append(("validation", f"{_duration(validating)} for {times} times"))
    rows.append(("disk, checkpoints", f"{KEPT * _checkpoint_bytes(state) / 2**20:,.0f} MiB"))
    if config.mining != "none":
        rows.append(("mining", "comes on top: not measured"))
    return rows


def _checkpoint_bytes(state):
    parts = (state.model, state.optimizer.backbone, state.optimizer.head)
    kept = [variable for part in parts for variable in part.variables]
    return sum(tf.as_dtype(each.dtype).size * math.prod(each.shape) for each in kept)


def _duration(seconds):
    minutes = math.ceil(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"
