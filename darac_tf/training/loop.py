"""The training loop: steps, validation, checkpoints and files in their order."""

import contextlib
import sys
import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from darac_tf.data.augmentation import Augmentation
from darac_tf.data.images import check_images
from darac_tf.data.pipeline import training_batches
from darac_tf.data.training_sets import PreparedImages
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models.descriptor import BEST_MODEL
from darac_tf.training.monitor import Monitor
from darac_tf.training.termination import on_termination
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


class Loop:
    """Steps, validation and files, in their order.

    Args:
        config: `TrainConfig`.
        run_dir: Run directory.
        model: The descriptor.
        optimizer: `GroupedOptimizer`.
        checkpoint: `RunCheckpoint`, restored where the run goes on.
        validator: `Validator`, or None.
        train_step: Of `make_train_step`.
        average: `WeightAverage` that validates and is saved in place of the weights, or None.
    """

    def __init__(
        self, config, run_dir, model, optimizer, checkpoint, validator, train_step, average
    ):
        self._config = config
        self._run_dir = run_dir
        self._model = model
        self._checkpoint = checkpoint
        self._validator = validator
        self._train_step = train_step
        self._average = average
        self._monitor = Monitor(run_dir, config, optimizer, checkpoint.step)
        self._best = checkpoint.best

    def run(self, training, sampling):
        """Makes the steps that are left.

        Args:
            training: `LabelledImages`.
            sampling: Of `make_sampling`.

        Returns:
            `RunResult`.

        Raises:
            UserError: If an image can't be decoded, or the loss is not finite.
            SystemExit: After SIGTERM, with a checkpoint.
        """
        first = self._checkpoint.step
        batches = step_batches(self._config, training, sampling, first)
        losses, step = [], first
        try:
            if first == 0 and self._validator:
                self._validate(0)
            with on_termination() as termination:
                for step, (images, labels) in enumerate(batches, start=first + 1):
                    losses.append(self._step(step, images, labels, training, sampling))
                    self._after_step(step)
                    if termination.requested:
                        self._leave(step)
        except tf.errors.InvalidArgumentError:
            _check_batches(training, sampling, step)  # names the image, if it was one
            raise
        finally:
            self._monitor.close()
        self._finish(step, first)
        return RunResult(
            step, np.array(losses), self._best if self._validator else None, self._traces()
        )

    def _step(self, step, images, labels, training, sampling):
        started = time.perf_counter()
        loss, gradient_norm = map(float, self._train_step(images, labels))
        if not np.isfinite(loss):
            names = ", ".join(_names(training, sampling, step - 1))
            raise UserError(
                f"step {step}: the loss is {loss}; lower --learning_rate, raise --warmup_steps, "
                f"and --resume from step {self._checkpoint.step} or start again. "
                f"Its images: {names}"
            )
        seconds = time.perf_counter() - started
        self._monitor.step(step, loss, gradient_norm, len(labels), seconds)
        return loss

    def _leave(self, step):
        if self._checkpoint.step != step:
            self._save_checkpoint(step)
        sys.exit(f"terminated after step {step}; go on with --resume")

    def _after_step(self, step):
        is_last = step == self._config.steps
        if self._validator and (is_last or step % self._config.val_every == 0):
            self._validate(step)
        if is_last or step % self._config.checkpoint_every == 0:
            self._save_checkpoint(step)

    def _save_checkpoint(self, step):
        # Lines before the step they belong to is kept: a resumed run has all of them.
        self._monitor.flush()
        self._checkpoint.save(step, self._best)

    def _validate(self, step):
        with self._averaged():
            scores = self._validator.scores()
        self._monitor.validation(step, scores)
        if scores[Validator.METRIC] > self._best:
            self._best = scores[Validator.METRIC]
            self._save_model(BEST_MODEL)

    def _finish(self, step, first):
        if step > first or not (self._run_dir / LAST_MODEL).exists():
            self._save_model(LAST_MODEL)
        if not self._validator:
            self._save_model(BEST_MODEL)

    def _save_model(self, name):
        with self._averaged(), atomic_path(self._run_dir / name) as path:
            self._model.save(path)

    def _averaged(self):
        return contextlib.nullcontext() if self._average is None else self._average.in_place()

    def _traces(self):
        return self._train_step.experimental_get_tracing_count()


def step_batches(config, training, sampling, first):
    """`(images, labels)` of each step from `first` on."""
    augmentation = Augmentation(config.min_crop_area, flip=config.flip, light=config.light)
    for sampler, start, stop in sampling.stretches(first, config.steps):
        yield from training_batches(
            training, sampler, augmentation, config.image_size, start, stop, config.seed
        )


def _names(training, sampling, step):
    """Paths of the images of a step, counted from 0."""
    sampler, _, _ = next(sampling.stretches(step, step + 1))
    positions = range(step * sampler.batch_size, (step + 1) * sampler.batch_size)
    return [str(training.paths[int(sampler.image_at(tf.constant(p, tf.int64)))]) for p in positions]


def _check_batches(training, sampling, step):
    """Decodes the images around a failed step one by one, and names the bad one."""
    if isinstance(training, PreparedImages):
        return  # All were decoded when they were prepared.
    sampler, _, stop = next(sampling.stretches(step, step + _BATCHES_AHEAD))
    positions = np.arange(step * sampler.batch_size, stop * sampler.batch_size)
    indices = {int(sampler.image_at(tf.constant(p, tf.int64))) for p in positions}
    check_images(training.paths[sorted(indices)])
