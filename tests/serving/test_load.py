"""Concurrent clients: no wrong vector, no failure, memory that does not grow; and wrong is seen."""

import contextlib
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import serving_load
from benchmarks.serving_load import (
    Tally,
    chooser,
    load,
    markdown,
    measure,
    mixed_images,
    offline_answers,
)
from darac_tf.serving import connect
from tests.serving.servicer import Faults, serving


@pytest.fixture(scope="module", autouse=True)
def _small_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving_load, "_SIZES", ((64, 48), (40, 60), (24, 32)))
        yield


@pytest.fixture(scope="module")
def process(small_model):
    """The stand-in's command: `(process, addresses)`; it ends when it is asked to."""
    with serving_load.local_server(small_model) as (process, addresses):
        yield process, addresses
    assert process.returncode == 0


@pytest.mark.slow  # A process that imports TensorFlow.
def test_the_command_serves_this_machine_only(process, images, offline):
    addresses = process[1]
    assert all(address.startswith("127.0.0.1:") for address in addresses.values())
    with connect(addresses["grpc"]) as client:
        np.testing.assert_array_equal(client.describe(images[:2]).vectors, offline[:2])


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_second_of_load(small_model, process, monkeypatch, protocol):
    monkeypatch.setattr(serving_load, "local_server", lambda _: contextlib.nullcontext(process))
    tally = measure(small_model, 4, 1, 0.5, 0.05, protocol, batch=2)
    assert tally.wrong == 0 and not tally.errors, markdown(tally, 4, 2, protocol)
    assert len(tally.latencies) >= 4 and tally.images == 2 * len(tally.latencies)
    _, warm, end, peak = tally.memory
    # The kernel counts both a little late.
    assert warm > 50 and end < warm + 150 and peak >= end - 1
    assert f"| requests | {len(tally.latencies)} |" in markdown(tally, 4, 2, protocol)


@pytest.mark.slow
def test_wrong_vectors_verdicts_and_failures_are_counted(small_model, monkeypatch):
    # A clock that moves when it is looked at: 20 requests on any machine.
    ticks = itertools.count()
    monkeypatch.setattr(serving_load, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    data = mixed_images(6, 4)
    vectors, valid = offline_answers(small_model, data)
    assert valid.tolist() == [True] * 6 + [False] * 4
    shifted = vectors.copy()
    shifted[2, 0] += 1e-3
    swapped = valid.copy()
    swapped[3] = False
    faults = Faults(lambda number: "UNAVAILABLE" if number % 3 == 0 else None)
    with serving(small_model, faults) as server:
        for wrong_vectors, wrong_valid, wrong_place in ((shifted, valid, 2), (vectors, swapped, 3)):
            tally, asked = Tally(), []

            def choose(rng, count, asked=asked, wrong_place=wrong_place):
                # Neither chance nor a slow machine decides whether the wrong one is asked for.
                asked.append(wrong_place if len(asked) % 4 == 1 else len(asked) % 2)
                return np.array([asked[-1]])

            answers = (data, wrong_vectors, wrong_valid)
            load(server.grpc, "grpc", choose, answers, 1, 60, 1, tally)
            assert tally.errors["UNAVAILABLE"] > 0
            assert len(tally.latencies) + tally.errors["UNAVAILABLE"] == len(asked)
            share = tally.wrong / len(tally.latencies)
            assert 0 < share < 0.5 and tally.images == len(tally.latencies) - tally.wrong
            assert tally.wrong <= asked.count(wrong_place)


def test_a_share_of_the_images_is_corrupt():
    valid = np.array([True] * 5 + [False] * 3)
    rng = np.random.default_rng(0)
    found = chooser(valid, 0.1)(rng, 10_000)
    assert 0.08 < (~valid[found]).mean() < 0.12 and set(found.tolist()) == set(range(8))
    assert valid[chooser(valid, 0.0)(rng, 1000)].all()


def test_images_are_the_same_for_a_seed():
    first, again, other = mixed_images(12), mixed_images(12), mixed_images(12, seed=1)
    assert first == again and first != other and len(first) == 20
