"""A run in a process of its own, which the test of kills starts and kills."""

import os
import sys
from pathlib import Path

import tensorflow as tf

from darac_tf.settings import CONFIG_FILE
from darac_tf.training.run import train


def log_of(run_dir):
    """Where a run in `run_dir` prints to."""
    return Path(f"{run_dir}.log")


def run(config, run_dir):
    """Trains, or goes on where there is a run already.

    Args:
        config: `TrainConfig`.
        run_dir: Run directory.
    """
    # Sums in one order, so that weights are the same to the last bit.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    with log_of(run_dir).open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    train(config, run_dir, resume=(Path(run_dir) / CONFIG_FILE).exists())
