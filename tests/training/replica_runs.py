"""Runs and steps on several replicas, in a process of their own.

    python -m tests.training.replica_runs RUNS.json [resume]

TensorFlow sets its devices up once in a process, so that tests of replicas need their own.
RUNS.json is a list of records: `config`, `run_dir`, and where wanted `out`, an .npz of losses and
weights; or `config` and `clip_share`, for a step that is checked against a plain loop.
"""

import functools
import json
import sys
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.models.descriptor import load_descriptor
from darac_tf.training import run as run_module
from darac_tf.training import validation
from darac_tf.training.config import TrainConfig
from darac_tf.training.loop import LAST_MODEL
from darac_tf.training.replicas import make_replicas
from darac_tf.training.run import train
from tests.training.step_oracle import check_step

# The collective operations of two strategies in a process would be mixed up.
replicas_of = functools.cache(make_replicas)
run_module.make_replicas = replicas_of


def do(config, run_dir=None, out=None, clip_share=None, resume=False):
    config = TrainConfig(**config)
    if run_dir is None:
        check_step(config, replicas_of(config.strategy, config.replicas), clip_share)
        return
    result = train(config, run_dir, resume)
    if out:
        weights = load_descriptor(f"{run_dir}/{LAST_MODEL}").get_weights()
        np.savez(out, *weights, losses=result.losses, traces=result.traces)


def main(runs, *more):
    validation._PICTURED_QUERIES = validation._PICTURED_RANKS = 1
    try:
        for run in json.loads(Path(runs).read_text(encoding="utf-8")):
            do(**run, resume="resume" in more)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
