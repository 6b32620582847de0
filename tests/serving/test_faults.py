"""Damaged images: each gives a vector, valid=false or INVALID_ARGUMENT, and the process lives."""

import collections
import os
import signal

import numpy as np
import pytest

from benchmarks import serving_faults
from benchmarks.serving_faults import DIED, GOOD, SILENT, Child, is_fine
from darac_tf.serving import ServerError
from tests.serving.mutations import mutations, originals, say_sound
from tests.serving.servicer import client_of, serving


def test_mutations_are_the_same_for_a_seed_and_damage_something():
    first, again, other = (list(mutations(100, seed)) for seed in (1, 1, 2))
    assert first == again and first != other
    assert collections.Counter(kind for kind, _ in first) == dict.fromkeys(
        ("bit flips", "truncated", "wrong header", "zero bytes", "huge declared size"), 20
    )
    sound = {data for _, data in originals(1).values()}
    assert sum(data in sound for _, data in first) < 5


@pytest.mark.slow
def test_a_hundred_damaged_images(run_command, small_model):
    command = ["benchmarks.serving_faults", f"--model={small_model}", "--images=100"]
    status, output, last = run_command(*command)
    assert status == 0, output + last
    header, _, *rows = (line.split(" | ") for line in output.splitlines() if line[:1] == "|")
    assert tuple(header[2:4]) == GOOD
    name, total, *counts = rows[-1]
    assert name == "| all" and int(total) == 100 and len(rows) == 6
    good = list(map(int, counts[: len(GOOD)]))
    assert sum(good) == 100 and all(good)
    assert 50 < float(output.split("Peak memory: ")[1].split()[0]) < 3000


@pytest.mark.slow
def test_damaged_images_through_a_server(small_model):
    damaged = [data for _, data in mutations(40, seed=3)]
    with serving(small_model) as server:
        with client_of(server, "grpc", batch_size=8) as client:
            found = client.describe(damaged)
        with client_of(server, "grpc", signature="serving_default") as client:
            for data, valid in zip(damaged, found.valid, strict=True):
                if valid:
                    assert client.describe([data]).valid.all()
                    continue
                with pytest.raises(ServerError, match="INVALID_ARGUMENT"):
                    client.describe([data])
    assert 0 < found.valid.sum() < 40


def test_a_process_that_dies_or_hangs_is_seen_and_replaced(small_model):
    child = Child(small_model, seconds=60, target=say_sound)
    (_, sound), *_ = originals().values()
    try:
        assert child.ask(sound) == GOOD[0]
        os.kill(child._process.pid, signal.SIGKILL)
        child._process.join()
        assert child.ask(sound) == DIED
        assert child.ask(sound) == GOOD[0]
        child._seconds = 0.5
        os.kill(child._process.pid, signal.SIGSTOP)
        assert child.ask(sound) == SILENT
    finally:
        child.stop()
    assert child._process is None
    assert not is_fine({"a": collections.Counter([GOOD[0], DIED])})
    assert not is_fine({"a": collections.Counter(["valid=false, vector"])})


class _Says:
    """A model whose answers are given."""

    def __init__(self, robust, valid, default):
        self._outputs = {
            "robust": {"descriptor": np.array([robust], np.float32), "valid": np.array([valid])},
            "serving_default": {"descriptor": np.array([default], np.float32)},
        }

    def run(self, signature, inputs):
        return self._outputs[signature]


@pytest.mark.parametrize(
    ("robust", "valid", "default", "outcome"),
    [
        ([1, 0], True, [1, 0], "vector, vector"),
        ([2, 0], True, [2, 0], "no unit vector, no unit vector"),
        ([0, 1], True, [1, 0], "two different vectors"),
        ([0, 0], False, [1, 0], "valid=false, vector"),
        ([1, 0], False, [1, 0], "valid=false and a vector, vector"),
        ([np.nan, 0], True, [np.nan, 0], "two different vectors"),
    ],
)
def test_what_a_wrong_model_says(robust, valid, default, outcome):
    assert serving_faults.what_happens(_Says(robust, valid, default), b"x") == outcome
