"""Losses and weights of a few steps on a number of replicas, in a process of their own.

    python -m tests.training.replica_runs CONFIG.json RUN_DIR OUT.npz [resume]

TensorFlow sets its devices up once in a process, so that tests of replicas need their own.
"""

import json
import sys
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.models.descriptor import load_descriptor
from darac_tf.training import TrainConfig, train
from darac_tf.training.loop import LAST_MODEL


def main(config, run_dir, out, *more):
    config = TrainConfig(**json.loads(Path(config).read_text()))
    try:
        result = train(config, run_dir, resume="resume" in more)
    except UserError as error:
        sys.exit(f"error: {error}")
    if out != "-":
        weights = load_descriptor(f"{run_dir}/{LAST_MODEL}").get_weights()
        np.savez(out, *weights, losses=result.losses, traces=result.traces)


if __name__ == "__main__":
    main(*sys.argv[1:])
