"""The training loop: steps, validation, checkpoints and files in their order."""

import contextlib
import signal
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models.descriptor import BEST_MODEL, LAST_MODEL
from darac_tf.training.monitor import Monitor, SilentMonitor
from darac_tf.training.validation import Validator


@dataclass(frozen=True)
class RunResult:
    """What a finished run tells."""

    steps: int  # Steps made in all.
    losses: np.ndarray  # float array, the loss of each step made by this process.
    best: float | None  # Best validation mAP (plain, leave-one-out), or None without validation.
    traces: int  # How often the training step was traced.
    best_step: int | None = None  # The step after which the best was found, or None.


class Loop:
    """Steps, validation and files, in their order. Only the chief validates and writes.

    The `RunCheckpoint` is restored where the run goes on. The `Validator` is None without
    validation, or on a worker that is not the chief. The step is that of `make_train_step`.
    """

    def __init__(self, config, run_dir, state, replicas, checkpoint, validator, train_step):
        self._config = config
        self._run_dir = run_dir
        self._state = state
        self._replicas = replicas
        self._checkpoint = checkpoint
        self._validator = validator
        self._train_step = train_step
        self._best, self._best_step = checkpoint.best, checkpoint.best_step
        if replicas.is_chief:
            self._monitor = Monitor(run_dir, config, state.optimizer, checkpoint.step)
        else:
            self._monitor = SilentMonitor()

    def run(self, batches):
        """Makes the steps that are left, on `StepBatches`, and returns the `RunResult`.

        Raises:
            UserError: If an image can't be decoded, the loss is not finite, a checkpoint can't be
                written, or another worker left.
            SystemExit: After SIGTERM, with a checkpoint.
        """
        first = step = self._checkpoint.step
        to_come = [] if self._is_exhausted(first) else batches.after(first)
        losses = []
        try:
            with self._replicas.reporting_loss_of_a_worker(), _on_termination() as terminations:
                if first == 0 and self._config.validates:
                    self._validate(0)
                for images, labels in to_come:
                    step += 1
                    losses.append(self._step(step, images, labels, batches))
                    self._after_step(step)
                    if terminations or self._is_exhausted(step):
                        self._save_checkpoint(step)
                    if terminations:
                        sys.exit(f"terminated after step {step}; go on with --resume")
                    if self._is_exhausted(step):
                        break
        except (tf.errors.InvalidArgumentError, tf.errors.UnknownError):
            batches.check_around(step)  # names the image, if it was one
            raise
        finally:
            self._monitor.close()
        self._finish(step, first)
        best = (self._best, self._best_step) if self._config.validates else (None, None)
        traces = self._train_step.experimental_get_tracing_count()
        return RunResult(step, np.array(losses), best[0], traces, best[1])

    def _step(self, step, images, labels, batches):
        started = time.perf_counter()
        loss, gradient_norm = map(float, self._train_step(images, labels))
        # A gradient beyond float16 is left out, and its scale lowered; elsewhere it ends the run.
        scale = self._state.loss_scale
        is_last_straw = scale is None or float(scale.scale) < 1
        is_fatal = is_last_straw and not np.isfinite(gradient_norm)
        if is_fatal or not np.isfinite(loss):
            names = ", ".join(batches.names(step - 1))
            raise UserError(
                f"step {step}: the loss is {loss}, the norm of its gradient {gradient_norm}; lower "
                "--learning_rate, raise --warmup_steps, "
                f"and --resume from step {self._checkpoint.step} or start again. "
                f"Its images: {names}"
            )
        seconds = time.perf_counter() - started
        if step == 1:
            self._monitor.batch(step, self._replicas.first_share(images))
        self._monitor.step(step, loss, gradient_norm, self._config.batch_size, seconds)
        return loss

    def _after_step(self, step):
        is_last = step == self._config.steps
        if self._config.validates and (is_last or step % self._config.val_every == 0):
            self._validate(step)
        if is_last or step % self._config.checkpoint_every == 0:
            self._save_checkpoint(step)

    def _is_exhausted(self, step):
        """Whether validation hasn't got better for long enough to stop."""
        patience = self._config.patience
        return patience is not None and step - self._best_step >= patience * self._config.val_every

    def _save_checkpoint(self, step):
        if self._replicas.is_chief and self._checkpoint.step != step:
            # Lines before the step they belong to is kept: a resumed run has all of them.
            self._monitor.flush()
            self._checkpoint.save(step, self._best, self._best_step)

    def _validate(self, step):
        score = -1.0
        if self._replicas.is_chief:
            with self._averaged():
                scores = self._validator.scores()
            self._monitor.validation(step, scores, self._validator)
            score = scores[Validator.METRIC]
        score = self._replicas.from_chief(score)
        if score > self._best:
            self._best, self._best_step = score, step
            self._save_model(BEST_MODEL)

    def _finish(self, step, first):
        if step > first or not (self._run_dir / LAST_MODEL).exists():
            self._save_model(LAST_MODEL)
        if not self._config.validates:
            self._save_model(BEST_MODEL)

    def _save_model(self, name):
        if self._replicas.is_chief:
            with self._averaged(), atomic_path(self._run_dir / name) as path:
                self._state.model.save(path)

    def _averaged(self):
        average = self._state.average
        return contextlib.nullcontext() if average is None else average.in_place()


@contextlib.contextmanager
def _on_termination():
    """Yields a list: within it, SIGTERM adds to the list instead of killing.

    Outside the main thread, where Python allows no handlers, SIGTERM kills as ever.
    """
    terminations = []
    if threading.current_thread() is not threading.main_thread():
        yield terminations
        return
    before = signal.signal(signal.SIGTERM, lambda *_: terminations.append(1))
    try:
        yield terminations
    finally:
        signal.signal(signal.SIGTERM, before)
