"""Servers on 127.0.0.1 for the tests: the stand-in with faults, and ports where nobody listens."""

import contextlib
import functools
import socket
import threading

import tensorflow as tf

from darac_tf.serving import Retries, connect
from tests.serving.stand_in.model import load_versions
from tests.serving.stand_in.server import LocalModels, LocalServer

QUICK = Retries(attempts=4, first_delay=0.01)
ERRORS = {
    "UNAVAILABLE": tf.errors.UnavailableError,
    "DEADLINE_EXCEEDED": tf.errors.DeadlineExceededError,
    "RESOURCE_EXHAUSTED": tf.errors.ResourceExhaustedError,
    "INVALID_ARGUMENT": tf.errors.InvalidArgumentError,
    "INTERNAL": tf.errors.InternalError,
}


class Faults:
    """Fails predictions by their number, and counts them.

    Args:
        fail: Function of the number of a prediction to a key of `ERRORS`, or None to go on; it may
            take its time.
    """

    def __init__(self, fail=lambda number: None):
        self.fail = fail
        self.count = 0
        self._lock = threading.Lock()

    def __call__(self, number):
        with self._lock:
            self.count += 1
        code = self.fail(number)
        if code is not None:
            raise ERRORS[code](None, None, f"injected {code}")


@functools.cache
def versions(base, only_newest=True):
    """The versions below a folder, loaded once for all tests: their first runs are slow."""
    return load_versions(base, only_newest, threads=1)


@contextlib.contextmanager
def serving(base, faults=None, only_newest=True, guard=lambda headers: None, **options):
    """A `LocalServer` of the versions below a folder, as the model `darac`."""
    models = LocalModels("darac", versions(base, only_newest), faults, guard)
    with LocalServer(models, **options) as server:
        yield server


def client_of(server, protocol, **options):
    """A client that does not wait long."""
    options.setdefault("retries", QUICK)
    return connect(getattr(server, protocol), protocol, **options)


def free_port():
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
