"""Runs that are killed at random moments, again and again, end as one that was left alone."""

import csv
import dataclasses
import multiprocessing
import random
import signal
import time

import numpy as np
import pytest

from darac_tf.models import load_descriptor
from darac_tf.models.descriptor import BEST_MODEL
from darac_tf.training.config import TrainConfig
from darac_tf.training.loop import LAST_MODEL
from darac_tf.training.monitor import METRICS_FILE
from tests.helpers import write_backbone, write_collection
from tests.training import killed_runs

CHECKPOINT_EVERY = 3


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=5, images=4)),
        backbone=write_backbone(folder / "small.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=30,
        warmup_steps=5,
        learning_rate=1e-3,
        checkpoint_every=CHECKPOINT_EVERY,
        batch_norm="train",
        clip_norm=0.5,
        average_decay=0.9,
    )


@pytest.fixture(scope="module")
def processes():
    """Starts training processes, from one that has imported TensorFlow but not used it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed_runs.__name__])
    started = []

    def start(config, run_dir):
        process = context.Process(target=killed_runs.run, args=(config, str(run_dir)))
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def _log(run_dir):
    return killed_runs.log_of(run_dir).read_text()[-2000:]


def _checkpoints(run_dir):
    return [int(file.stem[5:]) for file in (run_dir / "checkpoints").glob("ckpt-*.index")]


def _latest(run_dir):
    return max(_checkpoints(run_dir), default=0)


def _wait(process, run_dir, holds):
    deadline = time.monotonic() + 200
    while not holds():
        assert process.is_alive() and time.monotonic() < deadline, _log(run_dir)
        time.sleep(0.005)


def kill_at_random(process, run_dir, rng, further):
    """Kills a run that has come `further` checkpoints further, up to 0.15 seconds later.

    Returns:
        The step of the last checkpoint.
    """
    metrics = run_dir / METRICS_FILE
    before = _latest(run_dir)
    started = metrics.stat().st_ino if metrics.exists() else None
    # A run writes its metrics file anew when it begins.
    _wait(process, run_dir, lambda: metrics.exists() and metrics.stat().st_ino != started)
    _wait(process, run_dir, lambda: _latest(run_dir) >= before + further * CHECKPOINT_EVERY)
    time.sleep(rng.uniform(0, 0.15))
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, _log(run_dir)
    return _latest(run_dir)


def _metrics(run_dir):
    with (run_dir / METRICS_FILE).open(newline="") as file:
        return list(csv.reader(file))


def check_kills(config, processes, folder, seed, further):
    """Kills a run once for each number in `further`, and compares it with one left alone."""
    rng, run_dir, whole = random.Random(seed), folder / "run", folder / "whole"
    alone = processes(config, whole)
    latest = [kill_at_random(processes(config, run_dir), run_dir, rng, each) for each in further]
    assert latest == sorted(latest) and latest[-1] < config.steps
    last = processes(config, run_dir)
    for process, of_run in ((alone, whole), (last, run_dir)):
        process.join(300)
        assert process.exitcode == 0, _log(of_run)
    # To the last digit: losses, gradient norms and scores of every step.
    found = _metrics(run_dir)
    assert found == _metrics(whole) and len(found) > 2 * config.steps
    for name in (LAST_MODEL, BEST_MODEL):
        pairs = [load_descriptor(each / name).get_weights() for each in (run_dir, whole)]
        for a, b in zip(*pairs, strict=True):
            np.testing.assert_array_equal(a, b)
    files = {file.name.split(".")[0] for file in (run_dir / "checkpoints").iterdir()}
    assert files == {f"ckpt-{step}" for step in (config.steps - CHECKPOINT_EVERY, config.steps)}
    return latest


@pytest.mark.slow
def test_one_kill(config, processes, tmp_path):
    latest = check_kills(config, processes, tmp_path, 1, (2,))
    assert latest[0] >= 2 * CHECKPOINT_EVERY


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_dozen_kills(config, processes, tmp_path, seed):
    rng = random.Random(100 + seed)
    further = [rng.choice((0, 0, 1, 1, 2)) for _ in range(12)]
    # So many that the run never ends before the last kill.
    more = {"steps": 300, "val_classes": 2, "val_every": 75}
    check_kills(dataclasses.replace(config, **more), processes, tmp_path, seed, further)
