"""A training run, from settings to the best and the last model."""

import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from darac_tf.data import load_dataset
from darac_tf.data.augmentation import Augmentation
from darac_tf.data.images import check_images
from darac_tf.data.pipeline import training_batches
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import BEST_MODEL
from darac_tf.training.checkpoint import RunCheckpoint
from darac_tf.training.config import CONFIG_FILE
from darac_tf.training.convolutions import speed_up_gradients
from darac_tf.training.monitor import Monitor
from darac_tf.training.optimizers import GroupedOptimizer
from darac_tf.training.pooling_fit import fit_pooling
from darac_tf.training.sampling import make_sampling
from darac_tf.training.step import make_train_step, set_batch_norm
from darac_tf.training.validation import Validator

LAST_MODEL = "last.keras"
_BATCHES_AHEAD = 8


@dataclass(frozen=True)
class RunResult:
    """What a finished run tells.

    Attributes:
        steps: Steps made in all.
        losses: float array, the loss of each step made by this process.
        best: Best validation mAP (plain, leave-one-out), or None without validation.
        traces: How often the training step was traced.
    """

    steps: int
    losses: np.ndarray
    best: float | None
    traces: int


def train(config, run_dir, resume=False):
    """Trains a descriptor.

    Writes to `run_dir`: config.json, train.csv and val.csv (the images of each), checkpoints,
    TensorBoard events, best.keras (highest validation mAP; without validation, the last model) and
    last.keras.

    Args:
        config: `TrainConfig`.
        run_dir: Run directory; a new one unless `resume`.
        resume: Whether to go on from the last checkpoint in it, with the very next step.

    Returns:
        `RunResult`.

    Raises:
        UserError: If settings, data or an earlier run do not allow it.
    """
    run_dir = Path(run_dir)
    check_run_dir(config, run_dir, resume)
    keras.utils.set_random_seed(config.seed)
    training, validation = training_images(config)
    model = build_descriptor(
        config.backbone,
        config.backbone_weights,
        config.pooling,
        layer=config.layer,
        **config.pooling_options(),
    )
    set_batch_norm(model, config.batch_norm, config.batch_norm_momentum)
    if not tf.config.list_logical_devices("GPU"):
        speed_up_gradients(model)
    sampling = make_sampling(config, run_dir, model, training)
    loss = config.make_loss(len(training.class_names), model.output_shape[-1])
    optimizer = GroupedOptimizer(config, model, loss)
    checkpoint = RunCheckpoint(run_dir, model, optimizer, loss)
    if resume:
        checkpoint.restore()
    else:
        start_run_dir(run_dir, config, training, validation)
    if checkpoint.step == 0:
        fit_pooling(model, _batches(config, training, sampling, 0), len(training))
    validator = Validator(model, validation, config) if validation else None
    loop = _Loop(config, run_dir, model, loss, optimizer, checkpoint, validator)
    return loop.run(training, sampling)


def check_run_dir(config, run_dir, resume):
    """Checks that a run can start, or go on, in a run directory.

    Raises:
        UserError: If there is a run already, or with `resume` none of these settings.
    """
    if resume:
        config.check_resumes(run_dir)
    elif (run_dir / CONFIG_FILE).exists():
        raise UserError(
            f"--run_dir: {run_dir} holds a run already; add --resume to go on with it, or name "
            "another"
        )


def training_images(config):
    """`(LabelledImages to train on, LabelledImages to validate on or None)` of `TrainConfig`.

    Raises:
        UserError: If they can't be read, or can't be trained on.
    """
    images = load_dataset(config.dataset, config.data_dir)
    if config.val_classes:
        images = images.split(config.split) if config.split else images
        training, validation = images.hold_out_classes(config.val_classes, config.split_seed)
    else:
        training = images.split(config.split) if config.split else images
        validation = images.split(config.val_split) if config.val_split else None
    training.check_for_training()
    return training, validation


def start_run_dir(run_dir, config, training, validation):
    """Writes what a run starts from: config.json, train.csv, and val.csv where there is one."""
    training.write_csv(run_dir / "train.csv")
    if validation:
        validation.write_csv(run_dir / "val.csv")
    config.write(run_dir)


class _Loop:
    """Steps, validation and files, in their order."""

    def __init__(self, config, run_dir, model, loss, optimizer, checkpoint, validator):
        self._config = config
        self._run_dir = run_dir
        self._model = model
        self._checkpoint = checkpoint
        self._validator = validator
        self._train_step = make_train_step(model, loss, optimizer, config.image_size)
        self._monitor = Monitor(run_dir, config, optimizer)
        self._best = checkpoint.best

    def run(self, training, sampling):
        first = self._checkpoint.step
        batches = _batches(self._config, training, sampling, first)
        losses, step = [], first
        if first == 0 and self._validator:
            self._validate(0)
        try:
            for step, (images, labels) in enumerate(batches, start=first + 1):
                started = time.perf_counter()
                loss, gradient_norm = map(float, self._train_step(images, labels))
                self._check_finite(loss, step)
                losses.append(loss)
                seconds = time.perf_counter() - started
                self._monitor.step(step, loss, gradient_norm, len(labels), seconds)
                self._after_step(step)
        except tf.errors.InvalidArgumentError:
            _check_batches(training, sampling, step)  # names the image, if it was one
            raise
        self._finish(step, first)
        return RunResult(
            step, np.array(losses), self._best if self._validator else None, self._traces()
        )

    def _after_step(self, step):
        is_last = step == self._config.steps
        if self._validator and (is_last or step % self._config.val_every == 0):
            self._validate(step)
        if is_last or step % self._config.checkpoint_every == 0:
            self._checkpoint.save(step, self._best)

    def _validate(self, step):
        scores = self._validator.scores()
        self._monitor.validation(step, scores)
        if scores[Validator.METRIC] > self._best:
            self._best = scores[Validator.METRIC]
            self._save_model(BEST_MODEL)

    def _finish(self, step, first):
        self._monitor.close()
        if step > first or not (self._run_dir / LAST_MODEL).exists():
            self._save_model(LAST_MODEL)
        if not self._validator:
            self._save_model(BEST_MODEL)

    def _save_model(self, name):
        with atomic_path(self._run_dir / name) as path:
            self._model.save(path)

    def _check_finite(self, loss, step):
        if not np.isfinite(loss):
            raise UserError(
                f"step {step}: the loss is {loss}; lower --learning_rate, raise --warmup_steps, "
                f"and --resume from step {self._checkpoint.step} or start again"
            )

    def _traces(self):
        return self._train_step.experimental_get_tracing_count()


def _batches(config, training, sampling, first):
    """`(images, labels)` of each step from `first` on."""
    augmentation = Augmentation(config.min_crop_area, flip=config.flip, light=config.light)
    for sampler, start, stop in sampling.stretches(first, config.steps):
        yield from training_batches(
            training, sampler, augmentation, config.image_size, start, stop, config.seed
        )


def _check_batches(training, sampling, step):
    """Decodes the images around a failed step one by one, and names the bad one."""
    sampler, _, stop = next(sampling.stretches(step, step + _BATCHES_AHEAD))
    positions = np.arange(step * sampler.batch_size, stop * sampler.batch_size)
    indices = {int(sampler.image_at(tf.constant(p, tf.int64))) for p in positions}
    check_images(training.paths[sorted(indices)])
