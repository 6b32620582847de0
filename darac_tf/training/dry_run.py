"""Builds a run, makes a few steps, and says what the whole would take; nothing is kept."""

import dataclasses
import math
import resource
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from darac_tf.data.augmentation import CropShapes
from darac_tf.data.content_keys import keys_of_alike, repetitions
from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.data.training_sets import PreparedImages
from darac_tf.models import build_backbone
from darac_tf.models.descriptor import backbone_of
from darac_tf.reports import markdown
from darac_tf.training.batches import StepBatches, make_sampling, one_sampler
from darac_tf.training.checkpoint import KEPT
from darac_tf.training.local_features import train_attention
from darac_tf.training.pooling_weights import cost_of_fit, is_fitted
from darac_tf.training.replicas import make_replicas
from darac_tf.training.run import check_run_dir, training_images
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step
from darac_tf.training.summary import trained_weights

_TIMED_STEPS = 3


class Measured(NamedTuple):
    """What a few steps took, in seconds."""

    first: float  # The first step of each shape, which is traced and compiled; all together.
    step: float  # Median of the later ones, with the wait for their images.
    wait: float  # Median of that wait alone.
    describe: float  # To describe one image of the training size; 0 without validation.


def dry_run(config, run_dir):
    """Builds a run, makes a few of its steps, and leaves no file behind.

    Of a `TrainConfig`, and the run directory, which is checked, not made. A Markdown table: images,
    shapes, parameters, measured memory, and the time and disk space that the whole run would take.
    `UserError` if settings, data or an earlier run do not allow the run.
    """
    replicas = make_replicas(config.strategy, config.replicas)
    check_run_dir(config, Path(run_dir), resume=False)
    keras.utils.set_random_seed(config.seed)
    training, validation = training_images(config)
    config = config.for_classes(len(training.class_names))
    replicas.check_batch(config)
    sets = {"training": training} | ({"validation": validation} if validation else {})
    rows = [(f"{name} images", _size_of(images)) for name, images in sets.items()]
    if not isinstance(training, PreparedImages):
        keys = keys_of_alike(training.paths)
        rows += [("", note) for note in repetitions(keys, training.paths, training.labels)]
    if config.matching == "local":
        rows += _rows_of_attention(config, training)
    else:
        fits = is_fitted(config, training, validation)
        state = build_state(config, len(training.class_names), replicas)
        sampling = _sampling(config, state.model, training)
        # Without steps of the network, one batch is still what images are described by.
        shown = dataclasses.replace(config, steps=config.steps or 1, warmup_steps=0)
        batches = StepBatches(shown, training, sampling, replicas).after(0)
        measured = _measure(config, state, replicas, batches, fits)
        rows += _rows_of_shapes(config, state.model, replicas)
        if fits:
            cost = cost_of_fit(state.model, training, validation, config)
            rows += _rows_of_pooling(config, measured, *cost)
        rows += _rows_of_cost(config, state, measured, len(validation or ()))
    return markdown.table(["dry run", ""], rows, [False, False])


def _sampling(config, model, training):
    if config.mining == "none":
        return make_sampling(config, None, model, training)
    # Mining describes thousands of images first; batches of the same size cost the same.
    shape = config.tuples_per_batch, config.tuple_size
    return one_sampler(ClassBalancedSampler(training.labels, *shape, config.seed))


def _measure(config, state, replicas, batches, fits):
    step = make_train_step(state, config, replicas) if config.steps else lambda *_: [0]
    shapes = len(_shapes(config))
    first, later = {}, []  # seconds and wait of the first step of a shape, and of the others
    for _ in range(max(config.steps, 1)):
        started = time.perf_counter()
        images, labels = next(batches)
        wait = time.perf_counter() - started
        float(step(images, labels)[0])
        times = time.perf_counter() - started, wait
        if (shape := replicas.first_share(images).shape) in first:
            later.append(times)
        else:
            first[shape] = times
        if len(first) == shapes and len(later) >= _TIMED_STEPS:
            break
    describe = 0.0
    if config.validates or fits:
        describe = _seconds_to_describe(state.model, replicas.first_share(images))
    medians = map(statistics.median, zip(*(later or first.values()), strict=True))
    return Measured(sum(seconds for seconds, _ in first.values()), *medians, describe)


def _shapes(config):
    """`(height, width)` of all batches that the run has."""
    return CropShapes(config.crop_shapes, config.image_size, config.seed).sides


def _seconds_to_describe(model, images):
    describe = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    describe(images)
    started = time.perf_counter()
    describe(images).numpy()
    return (time.perf_counter() - started) / len(images)


def _peak_memory():
    """As "12 MiB of the process", or of the GPU where there is one."""
    if tf.config.list_logical_devices("GPU"):
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return f"{peak / 2**20:,.0f} MiB of the GPU"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB of the process"


def _size_of(images):
    return f"{len(images):,} of {len(images.class_names):,} classes"


def _rows_of_shapes(config, model, replicas):
    network, _ = backbone_of(model)
    images = [(config.batch_size, *sides, 3) for sides in _shapes(config)]
    maps = map(network.compute_output_shape, images)
    weights = f"{model.count_params():,}, of which {trained_weights(model):,} are trained"
    return [
        ("batch", f"{_listed(images)} on {replicas.count} device(s)"),
        ("feature maps", _listed(maps)),
        ("descriptor", f"{config.batch_size} x {model.output_shape[-1]}"),
        ("parameters", weights),
    ]


def _listed(shapes):
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)


def _rows_of_attention(config, training):
    """Rows of a run of local features: its time is that of more steps less that of one."""
    network, preprocessing = build_backbone(config.backbone, config.backbone_weights)

    def seconds(steps):
        started, few = time.perf_counter(), dataclasses.replace(config, steps=steps, warmup_steps=0)
        train_attention(network, preprocessing, training, few, progress=False)
        return time.perf_counter() - started

    first = seconds(1)
    step = max(seconds(1 + _TIMED_STEPS) - first, 0) / _TIMED_STEPS
    size = _listed((config.batch_size, *sides, 3) for sides in _shapes(config))
    scaled = f", scaled by {config.min_scale} to 1" if config.min_scale < 1 else ""
    return [
        ("batch", size + scaled),
        ("memory, peak", _peak_memory()),
        ("first step", f"{first:.3g} s, with tracing"),
        ("step", f"{step:.3g} s"),
        ("training", f"{_duration(first + step * config.steps)} for {config.steps:,} steps"),
        ("PCA", "comes on top: not measured"),
    ]


def _rows_of_pooling(config, measured, images, size, step):
    seconds = images * measured.describe + config.steps_of_pooling * step
    what = f"{images:,} images described, {config.steps_of_pooling:,} steps of {step:.2g} s at most"
    return [
        ("pooling alone", f"{_duration(seconds)}: {what}"),
        ("disk, cached vectors", f"{size / 2**20:.2g} MiB, removed after it"),
    ]


def _rows_of_cost(config, state, measured, validation_images):
    if not config.steps:
        return [("memory, peak", _peak_memory())]
    shapes = len(_shapes(config))
    of_each = f" of {shapes} shapes" if shapes > 1 else ""
    training = measured.first + measured.step * max(config.steps - shapes, 0)
    times = 1 + math.ceil(config.steps / config.val_every)
    validating = times * validation_images * measured.describe
    rate = config.batch_size / measured.step
    step = f"{measured.step:.3g} s ({rate:.1f} images/s); {measured.wait:.2g} s wait for images"
    rows = [
        ("memory, peak", _peak_memory()),
        (f"first step{of_each}", f"{measured.first:.3g} s, with tracing"),
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
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"
