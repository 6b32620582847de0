"""A loopback stand-in for TensorFlow Serving: for development, tests and load; not for production.

    python -m tests.serving.stand_in.server --model=export/photos

serves the newest version below the folder on 127.0.0.1 in the dialects of TensorFlow Serving (gRPC
and REST), until it is interrupted. It has neither batching nor metrics nor reloading.
"""

import signal
import threading

import tensorflow as tf
from absl import flags

from darac_tf import cli
from tests.serving.stand_in.grpc_side import start_grpc
from tests.serving.stand_in.model import load_versions
from tests.serving.stand_in.rest_side import start_rest

_FLAGS = flags.FLAGS
_GRACE_SECONDS = 5


class LocalModels:
    """The versions of one model, by its name.

    Args:
        name: The model's name.
        versions: Dictionary of version to `LocalModel`.
        before: Called with the number of each prediction, from 1, before it is made; it may raise
            `tf.errors.OpError` in its stead.
        guard: Called with a dictionary of the headers of each request, names in lower case, before
            anything else; it may raise `tf.errors.OpError`.
    """

    def __init__(self, name, versions, before=None, guard=lambda headers: None):
        self.guard = guard
        self._name = name
        self._versions = dict(versions)
        self._before = before
        self._count = 0
        self._lock = threading.Lock()

    def versions(self, name):
        """Numbers of the versions, the largest first.

        Raises:
            tf.errors.NotFoundError: If there is no such model.
        """
        self._check(name)
        return sorted(self._versions, reverse=True)

    def find(self, name, version):
        """A version, None for the largest: `(number, LocalModel)`.

        Raises:
            tf.errors.NotFoundError: If there is no such model or version.
        """
        self._check(name)
        version = max(self._versions) if version is None else version
        if version not in self._versions:
            raise _not_found(f"{name} has no version {version}")
        return version, self._versions[version]

    def predict(self, name, version, signature, inputs):
        """Runs a signature: `(version, dictionary of output name to array)`.

        Raises:
            tf.errors.OpError: See `find` and `LocalModel.run`.
        """
        version, model = self.find(name, version)
        with self._lock:
            self._count += 1
            number = self._count
        if self._before is not None:
            self._before(number)
        return version, model.run(signature, inputs)

    def _check(self, name):
        if name != self._name:
            raise _not_found(f"there is no model {name!r}, only {self._name!r}")


class LocalServer:
    """Serves on 127.0.0.1 while its block lasts.

    Args:
        models: `LocalModels`.
        grpc_port: 0 for a free one; so for the next.
        rest_port: Of the REST interface.
        threads: gRPC requests that run at a time.
        queue: Requests or connections that are held at a time.
        message_bytes: Most bytes of a request.
        tls: `(key, certificate, authority)`, PEM files, of which the last is None, or that of the
            clients' certificates; None for no encryption.

    Attributes:
        grpc: `127.0.0.1:PORT`.
        rest: `127.0.0.1:PORT`.
    """

    def __init__(
        self,
        models,
        grpc_port=0,
        rest_port=0,
        threads=8,
        queue=256,
        message_bytes=128 << 20,
        tls=None,
    ):
        self._grpc, grpc_port = start_grpc(models, grpc_port, threads, queue, message_bytes, tls)
        self._rest, rest_port = start_rest(models, rest_port, queue, message_bytes, tls)
        self.grpc, self.rest = f"127.0.0.1:{grpc_port}", f"127.0.0.1:{rest_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends what is under way within a few seconds, and frees the ports."""
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(_GRACE_SECONDS).wait(2 * _GRACE_SECONDS)


def _not_found(message):
    return tf.errors.NotFoundError(None, None, message)


def _define_flags():
    flags.DEFINE_string("model", None, "Folder of versions, as exported.", required=True)
    flags.DEFINE_string("name", "darac", "Name of the model.")
    flags.DEFINE_integer("port", 8500, "gRPC port; 0 for a free one.", 0, 65535)
    flags.DEFINE_integer("rest_port", 8501, "REST port; 0 for a free one.", 0, 65535)
    flags.DEFINE_bool("every_version", False, "Serve all versions, not the newest alone.")
    flags.DEFINE_integer("threads", 8, "gRPC requests that run at a time.", lower_bound=1)


def main():
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    versions = load_versions(_FLAGS.model, not _FLAGS.every_version)
    models = LocalModels(_FLAGS.name, versions)
    with LocalServer(models, _FLAGS.port, _FLAGS.rest_port, _FLAGS.threads) as server:
        print(f"serving {_FLAGS.name}: gRPC {server.grpc}, REST {server.rest}", flush=True)
        stop.wait()


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
