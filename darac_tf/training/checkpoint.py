"""Checkpoints of everything a run needs to go on: weights, optimiser, step, best score."""

import re
import shutil
from pathlib import Path

import tensorflow as tf

from darac_tf.errors import UserError

KEPT = 2
# Written under another name, so that a killed process leaves no half of a checkpoint.
_WRITING = "writing"


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
        self._damaged = set()
        self._step = tf.Variable(0, dtype=tf.int64)
        self._best = tf.Variable(-1.0, dtype=tf.float64)
        self._best_step = tf.Variable(0, dtype=tf.int64)
        self._checkpoint = tf.train.Checkpoint(
            **state.trackables(), step=self._step, best=self._best, best_step=self._best_step
        )

    step = property(lambda self: int(self._step))
    best = property(lambda self: float(self._best))
    best_step = property(lambda self: int(self._best_step))

    def save(self, step, best, best_step):
        """Writes a checkpoint after `step` steps; the one before is kept as well.

        `UserError` if it can't be written; those that are there stay.
        """
        before = self.step
        self._step.assign(step)
        self._best.assign(best)
        self._best_step.assign(best_step)
        try:
            self._write(step)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"the checkpoint of step {step} can't be written to {self._folder}: "
                f"{_reason(error)}; free space or change its rights, and --resume goes on from "
                f"step {before}"
            ) from error
        finally:
            self._remove(_WRITING)
        # Damaged ones were passed over, and those after this step are of the past.
        self._damaged.discard(step)
        steps = self._steps()
        whole = [each for each in steps if each <= step and each not in self._damaged]
        for other in set(steps) - set(whole[:KEPT]):
            self._remove(f"ckpt-{other}")

    def _write(self, step):
        self._checkpoint.write(str(self._folder / _WRITING))
        # The data, and then the index, which makes them a checkpoint.
        for file in sorted(self._folder.glob(f"{_WRITING}.*")):
            file.replace(file.with_name(f"ckpt-{step}{file.suffix}"))

    def restore(self):
        """Restores the latest checkpoint that is whole; returns sentences about those passed over.

        A run that was cut off before its first one has none, and starts at its first step.
        `UserError` if all are damaged, or the latest is of another model.
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
                notes.append(f"{path} is damaged or incomplete, and was passed over")
                self._damaged.add(step)
        # Data alone are left where a run was cut off while it wrote its first one.
        if len(notes) > 1 or any(self._folder.glob("ckpt-*.index")):
            raise UserError(
                f"--resume: every checkpoint in {self._folder} is damaged; start again in another "
                "--run_dir"
            )
        return notes

    def _steps(self):
        """Steps of the checkpoints that are there, the latest first."""
        names = {file.name.split(".")[0] for file in self._folder.glob("ckpt-*.*")}
        numbers = (name.removeprefix("ckpt-") for name in names)
        return sorted((int(number) for number in numbers if number.isdigit()), reverse=True)

    def _remove(self, name):
        # The index first: without it, the rest is no checkpoint.
        (self._folder / f"{name}.index").unlink(missing_ok=True)
        for file in self._folder.glob(f"{name}.*"):
            file.unlink(missing_ok=True)
        shutil.rmtree(self._folder / f"{name}_temp", ignore_errors=True)


def _reason(error):
    """What TensorFlow or the system says, without names of its operations and files."""
    text = re.sub(r"^{{.*?}} |\s*\[Op:\w+\]$", "", (str(error).splitlines() or [""])[0])
    return text.rpartition("; ")[2][:200] or type(error).__name__
