"""Checkpoints of everything a run needs to go on: weights, optimiser, step, best score."""

from pathlib import Path

import tensorflow as tf

from darac_tf.errors import UserError


class RunCheckpoint:
    """Saves and restores a run. The data need no state: a batch follows from (seed, step).

    Args:
        run_dir: Run directory; checkpoints go to its `checkpoints`.
        model: Keras model.
        optimizer: `GroupedOptimizer`.
        loss: The loss, whose class weights are kept, if it has some; None for none.
        average: `WeightAverage`, or None.

    Attributes:
        step: int, steps made.
        best: float, best validation mAP so far, -1 before the first.
    """

    def __init__(self, run_dir, model, optimizer, loss=None, average=None):
        self._step = tf.Variable(0, dtype=tf.int64)
        self._best = tf.Variable(-1.0, dtype=tf.float64)
        own = {"loss": loss} if loss is not None and loss.trainable_variables else {}
        own |= {} if average is None else {"average": average}
        self._checkpoint = tf.train.Checkpoint(
            model=model,
            backbone_optimizer=optimizer.backbone,
            head_optimizer=optimizer.head,
            step=self._step,
            best=self._best,
            **own,
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(Path(run_dir) / "checkpoints"), max_to_keep=2
        )

    @property
    def step(self):
        return int(self._step.numpy())

    @property
    def best(self):
        return float(self._best.numpy())

    def save(self, step, best):
        """Writes a checkpoint after `step` steps; the one before is kept as well."""
        self._step.assign(step)
        self._best.assign(best)
        self._manager.save(checkpoint_number=step)

    def restore(self):
        """Restores the latest checkpoint.

        A run that was cut off before its first one has none, and starts at its first step.

        Raises:
            UserError: If it is damaged or of another model.
        """
        latest = self._manager.latest_checkpoint
        if latest is None:
            return
        try:
            self._checkpoint.restore(latest).assert_consumed()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"--resume: {latest} is damaged or of another model; give the flags it was "
                "trained with, or another --run_dir"
            ) from error
