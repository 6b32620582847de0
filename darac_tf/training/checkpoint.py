"""Checkpoints of everything a run needs to go on: weights, optimiser, step, best score."""

import shutil
from pathlib import Path

import tensorflow as tf

from darac_tf.errors import UserError

_KEPT = 2


class RunCheckpoint:
    """Saves and restores a run. The data need no state: a batch follows from (seed, step).

    Args:
        run_dir: Run directory; checkpoints go to its `checkpoints`, the last two are kept.
        state: `TrainState`.

    Attributes:
        step: int, steps made.
        best: float, best validation mAP so far, -1 before the first.
        best_step: int, the step it was found after.
    """

    def __init__(self, run_dir, state):
        self._folder = Path(run_dir) / "checkpoints"
        self._step = tf.Variable(0, dtype=tf.int64)
        self._best = tf.Variable(-1.0, dtype=tf.float64)
        self._best_step = tf.Variable(0, dtype=tf.int64)
        self._checkpoint = tf.train.Checkpoint(
            **state.trackables(), step=self._step, best=self._best, best_step=self._best_step
        )

    @property
    def step(self):
        return int(self._step.numpy())

    @property
    def best(self):
        return float(self._best.numpy())

    @property
    def best_step(self):
        return int(self._best_step.numpy())

    def save(self, step, best, best_step):
        """Writes a checkpoint after `step` steps; the one before is kept as well.

        Raises:
            UserError: If it can't be written; those that are there stay.
        """
        before = self.step
        self._step.assign(step)
        self._best.assign(best)
        self._best_step.assign(best_step)
        try:
            self._checkpoint.write(str(self._folder / f"ckpt-{step}"))
        except (OSError, tf.errors.OpError) as error:
            self._remove(step)
            raise UserError(
                f"the checkpoint of step {step} can't be written to {self._folder}: "
                f"{_first_line(error)}; free space or change its rights, and --resume goes on from "
                f"step {before}"
            ) from error
        for old in self._steps()[_KEPT:]:
            self._remove(old)

    def restore(self):
        """Restores the latest checkpoint that is whole.

        A run that was cut off before its first one has none, and starts at its first step.

        Returns:
            Sentences about damaged ones that were passed over.

        Raises:
            UserError: If all are damaged, or the latest is of another model.
        """
        notes = []
        for step in self._steps():
            path = self._folder / f"ckpt-{step}"
            try:
                self._checkpoint.read(str(path)).assert_consumed()
                return notes
            except AssertionError as error:
                raise UserError(
                    f"--resume: {path} is of another model; give the flags it was trained with, or "
                    "another --run_dir"
                ) from error
            except (IndexError, ValueError, tf.errors.OpError):
                notes.append(f"{path} is damaged, and was passed over")
        if notes:
            raise UserError(
                f"--resume: every checkpoint in {self._folder} is damaged; start again in another "
                "--run_dir"
            )
        return notes

    def _steps(self):
        """Steps of the checkpoints that are there, the latest first."""
        names = [file.stem.removeprefix("ckpt-") for file in self._folder.glob("ckpt-*.index")]
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def _remove(self, step):
        # The index first: without it, the rest is no checkpoint.
        (self._folder / f"ckpt-{step}.index").unlink(missing_ok=True)
        for file in self._folder.glob(f"ckpt-{step}.*"):
            file.unlink(missing_ok=True)
        shutil.rmtree(self._folder / f"ckpt-{step}_temp", ignore_errors=True)


def _first_line(error):
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
