"""Several replicas train as one does with the whole batch; and what a lost worker does."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.training.config import TrainConfig
from darac_tf.training.replicas import make_replicas
from tests.conftest import REPOSITORY
from tests.helpers import slow_but, write_backbone, write_collection
from tests.training.step_oracle import config_of, write_network

MODULE = [sys.executable, "-m", "tests.training.replica_runs"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def config(place):
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(place / "photos", classes=6, images=4)),
        val_classes=2,
        backbone=write_backbone(place / "small.keras"),
        pooling="gem",
        image_size=32,
        crop_shapes="4:3,3:4",
        classes_per_batch=4,
        images_per_class=2,
        steps=4,
        warmup_steps=1,
        learning_rate=1e-3,
        val_every=2,
        checkpoint_every=2,
        clip_norm=0.5,
        average_decay=0.9,
    )


def record(place, name, config, run_dir=None, out=True):
    """A run as `replica_runs` takes it; losses and weights go to NAME.npz."""
    files = {"run_dir": str(place / (run_dir or name)), "out": str(place / f"{name}.npz")}
    return {"config": dataclasses.asdict(config)} | (files if out else files | {"out": None})


def command(place, name, records, *more):
    file = place / f"{name}.json"
    file.write_text(json.dumps(records))
    return [*MODULE, str(file), *more]


def finish(arguments):
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


TWO = {"strategy": "mirrored", "replicas": 2}


@pytest.fixture(scope="module")
def done(place, config):
    """Runs on two replicas and on one, in one process."""
    records = [
        record(place, "mirrored", dataclasses.replace(config, **TWO)),
        record(place, "one", config),
    ]
    finish(command(place, "done", records))
    return {name: np.load(place / f"{name}.npz") for name in ("mirrored", "one")}


def assert_same(found, expected):
    np.testing.assert_allclose(found["losses"], expected["losses"], atol=1e-5)
    names = [name for name in expected.files if name.startswith("arr_")]
    assert len(names) > 4 and set(found.files) == set(expected.files)
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


@pytest.mark.parametrize("loss", slow_but(["arcface"], ["nra", "arcface"]))
def test_a_step_of_two_replicas_is_that_of_a_plain_loop(place, loss, run_command):
    """`arcface` has weights of its own, which both replicas share."""
    config = config_of(write_network(place / f"{loss}.keras"), loss, "sgd", **TWO)
    record = {"config": dataclasses.asdict(config), "clip_share": 0.4}
    _, _, *words = command(place, f"step-{loss}", [record])
    status, _, error = run_command(*words)
    assert not status, error


@pytest.mark.slow
def test_two_replicas_equal_one_with_the_whole_batch(done):
    assert done["mirrored"]["traces"] == 2  # one a shape
    assert_same(done["mirrored"], done["one"])


@pytest.mark.slow
def test_chunks_of_replicas(place, config, done):
    chunks = dataclasses.replace(config, chunk_size=2, **TWO)
    finish(command(place, "chunks", [record(place, "chunks", chunks)]))
    found = np.load(place / "chunks.npz")
    assert found["traces"] == 2
    assert_same(found, done["one"])


@pytest.mark.slow
def test_class_weights_and_batch_norm_are_shared(place, config):
    # Biases before a batch normalisation have no gradient but rounding, which Adam would enlarge.
    changes = {"loss": "arcface", "batch_norm": "train", "optimizer": "sgd", "average_decay": None}
    one = dataclasses.replace(config, **changes)
    records = [
        record(place, "two-arcface", dataclasses.replace(one, **TWO)),
        record(place, "one-arcface", one),
    ]
    finish(command(place, "arcface", records))
    assert_same(np.load(place / "two-arcface.npz"), np.load(place / "one-arcface.npz"))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_workers(place, name, config, run_dir, *more):
    """Two processes that train together on the loopback interface."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        runs = [record(place, name, config, run_dir, out=index == 0)]
        arguments = command(place, f"{name}-{index}", runs, *more)
        environment = os.environ | {"TF_CONFIG": json.dumps(task)}
        with (place / f"{name}-{index}.log").open("w") as log:
            worker = subprocess.Popen(
                arguments, cwd=REPOSITORY, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        workers.append(worker)
    return workers


def wait(workers, seconds=240):
    try:
        return [worker.wait(seconds) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()


@pytest.mark.slow
def test_two_workers_and_one_that_is_killed(place, config, done):
    config = dataclasses.replace(config, strategy="multiworker")
    assert wait(start_workers(place, "workers", config, "together")) == [0, 0]
    assert_same(np.load(place / "workers.npz"), done["one"])

    # More steps, so that there is time to kill a worker between two checkpoints.
    long = dataclasses.replace(config, steps=400, checkpoint_every=20, val_every=400)
    assert wait(start_workers(place, "whole", long, "whole")) == [0, 0]
    workers = start_workers(place, "cut", long, "cut")
    deadline = time.monotonic() + 200
    while not list((place / "cut" / "checkpoints").glob("ckpt-*.index")):
        assert time.monotonic() < deadline and workers[0].poll() is None
        time.sleep(0.02)
    workers[1].send_signal(signal.SIGKILL)
    assert wait(workers) == [1, -signal.SIGKILL]
    assert "another worker left" in (place / "cut-0.log").read_text()
    assert not (place / "cut" / "last.keras").exists()
    assert wait(start_workers(place, "again", long, "cut", "resume")) == [0, 0]
    resumed, whole = np.load(place / "again.npz"), np.load(place / "whole.npz")
    assert 0 < len(resumed["losses"]) < 400
    np.testing.assert_allclose(
        resumed["losses"], whole["losses"][-len(resumed["losses"]) :], atol=1e-3
    )


@pytest.mark.parametrize("text", [None, "{", "{}", '{"cluster": {"worker": 3}}'])
def test_tf_config_is_explained(monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="set TF_CONFIG on each machine, such as"):
        make_replicas("multiworker")


def test_replicas_after_tensorflow_has_begun():
    tf.constant(1.0)
    replicas = make_replicas("one")
    assert replicas.is_chief and replicas.count == 1 and replicas.from_chief(0.5) == 0.5
    with pytest.raises(UserError, match="TensorFlow has begun"):
        make_replicas("mirrored", 2)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (3, "3 replicas can't share batches of 8 images evenly"),
        (2, "--chunk_size=8: must divide the 4 images of a replica"),
    ],
)
def test_batches_that_replicas_cannot_share(config, count, message):
    replicas = make_replicas()
    replicas.count = count
    with pytest.raises(UserError, match=message):
        replicas.check_batch(dataclasses.replace(config, chunk_size=8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": 2}, "--replicas=2: is for --strategy=mirrored"),
        ({"strategy": "mirrored", "replicas": 0}, "--replicas=0: must be at least 1"),
        ({"strategy": "tpu"}, "--strategy=tpu: choose from one, mirrored, multiworker"),
    ],
)
def test_refused_settings(config, changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(config, **changes)
