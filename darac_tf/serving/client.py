"""The client: images in, vectors out, whatever the protocol."""

import contextlib
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from darac_tf.errors import UserError
from darac_tf.serving.transport import DEFAULT_MESSAGE_BYTES, Access, Retries, ServerError
from darac_tf.threads import look_ahead

PROTOCOLS = ("grpc", "rest")


class Answer(NamedTuple):
    """Descriptors of a list of images."""

    vectors: np.ndarray  # float32 `(images, dim)`; rows of zeros where `valid` is False.
    valid: np.ndarray  # bool `(images,)`, False for an image that can't be decoded.


class Client(contextlib.AbstractContextManager):
    """Describes images by a server; a context manager that ends the connection.

    Args:
        transport: `Transport`, which the client closes.
        signature: `"robust"`, where a bad image gives zeros and False, or `"serving_default"`,
            where it fails the request.
        version: Of the model; None for the server's choice at every request.
        batch_size: Most images in a request.
        batch_bytes: Most bytes of images in a request; a larger image goes alone.
        message_bytes: Most bytes of an image.
        in_flight: Requests that are under way at a time.
    """

    def __init__(
        self,
        transport,
        signature="robust",
        version=None,
        batch_size=16,
        batch_bytes=8 << 20,
        message_bytes=DEFAULT_MESSAGE_BYTES,
        in_flight=4,
    ):
        if in_flight < 1:
            raise ValueError(f"`in_flight` must be at least 1. Received: {in_flight}")
        self.version = version
        self._transport = transport
        self._signature = signature
        self._limits = (batch_size, min(batch_bytes, message_bytes))
        self._message_bytes = message_bytes
        self._in_flight = in_flight
        self._threads = ThreadPoolExecutor(in_flight, "describe")

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Gives up what is not sent yet, and ends the connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._transport.close()

    def describe(self, images):
        """The `Answer` to images, a list of bytes of image files, in their order.

        `ServerError` if an image is too large for a request, the server refuses one (a bad image
        with `"serving_default"`) or does not answer, however often it was asked, or its answer is
        not one finite vector for each image.
        """
        sizes = [len(image) for image in images]
        for index, size in enumerate(sizes):
            if size > (most := self._message_bytes):
                too_large = f"image {index} has {size} bytes, and a request holds {most}"
                advice = "leave it out, or raise --message_bytes here and on the server"
                raise ServerError(f"{too_large}: {advice}")
        parts = split_images(sizes, *self._limits)
        answers = list(self.describe_each(images[start:stop] for start, stop in parts))
        if not answers:
            return Answer(np.empty((0, 0), np.float32), np.empty(0, bool))
        return Answer(*map(np.concatenate, zip(*answers, strict=True)))

    def describe_each(self, batches):
        """Describes images request by request, a few under way at a time; errors as of `describe`.

        `batches`, an iterable of non-empty lists of bytes, each a request, is read as answers come,
        no further ahead than `in_flight`. Yields the `Answer` of each, in their order.
        """
        return look_ahead(self._threads, self._request, batches, self._in_flight - 1)

    def versions(self):
        """The model's versions on the server: dictionary of number to state.

        `ServerError` if the server has no such model, or does not answer.
        """
        return self._transport.versions()

    def newest_version(self, within=None):
        """The largest number of a version that is available.

        Gives up after `within` seconds, None for as long as a request may take. `ServerError` if
        there is none, or the server does not answer.
        """
        name, states = self._transport.name, self._transport.versions(within)
        available = [number for number, state in states.items() if state == "AVAILABLE"]
        if not available:
            raise ServerError(f"{name} has no version of the model that is available: {states}")
        return max(available)

    def wait_until_ready(self, seconds, interval=0.5):
        """`newest_version` of a server that is starting, asked every `interval` seconds.

        `ServerError` if there is none within `seconds`.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                return self.newest_version(max(end - time.monotonic(), interval))
            except ServerError as error:
                if time.monotonic() + interval > end:
                    late = f"{self._transport.name} is not ready after {seconds} s: {error}"
                    raise ServerError(late) from error
            time.sleep(interval)

    def _request(self, images):
        outputs = self._transport.predict(images, self._signature, self.version)
        return _checked(outputs, len(images), self._signature)


def connect(
    server,
    protocol="grpc",
    model="darac",
    timeout_s=30.0,
    message_bytes=DEFAULT_MESSAGE_BYTES,
    retries=None,
    access=None,
    **options,
):
    """A client of a server; nothing is sent yet.

    Args:
        server: `HOST:PORT`. TensorFlow Serving's ports are 8500 for gRPC and 8501 for REST.
        protocol: `"grpc"` or `"rest"`.
        model: Name of the model on the server.
        timeout_s: Seconds that one attempt may take.
        message_bytes: Most bytes of images in a request; a server may take less.
        retries: `Retries`; None for its defaults.
        access: `Access`, for a server or a proxy that encrypts or authenticates; None without.
        **options: See `Client`.

    Returns:
        `Client`.

    Raises:
        UserError: If the address or the protocol is none, or gRPC makes fewer attempts.
    """
    address = _parsed_address(server)
    if protocol == "grpc":
        # Imported here: REST needs neither gRPC nor TensorFlow.
        from darac_tf.serving.grpc_transport import GrpcTransport as Transport
    elif protocol == "rest":
        from darac_tf.serving.rest_transport import RestTransport as Transport
    else:
        raise UserError(f"--protocol={protocol}: choose one of {', '.join(PROTOCOLS)}")
    how = (retries or Retries(), access or Access())
    transport = Transport(address, model, timeout_s, message_bytes, *how)
    return Client(transport, message_bytes=message_bytes, **options)


def _parsed_address(text):
    """`HOST:PORT` as `(host, port)`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or "/" in host or not (port.isascii() and port.isdigit()):
        raise UserError(f"--server={text}: give HOST:PORT, as 127.0.0.1:8500")
    if not 0 < int(port) < 65536:
        raise UserError(f"--server={text}: a port lies between 1 and 65535")
    return host, int(port)


def split_images(sizes, batch_size, batch_bytes):
    """Cuts images of some bytes each, in their order, into requests: list of `(start, stop)`.

    >>> split_images([5, 7, 20, 1, 1, 1], batch_size=2, batch_bytes=12)
    [(0, 2), (2, 3), (3, 5), (5, 6)]

    A request has at most `batch_size` images and `batch_bytes` bytes, both 1 or more; a larger
    image goes alone.
    """
    if min(batch_size, batch_bytes) < 1:
        raise ValueError(f"limits must be at least 1. Received: {batch_size}, {batch_bytes}")
    starts, held = [], 0
    for index, size in enumerate(sizes):
        if not starts or index - starts[-1] == batch_size or held + size > batch_bytes:
            starts.append(index)
            held = 0
        held += size
    return list(itertools.pairwise([*starts, len(sizes)]))


def _checked(outputs, count, signature):
    """The `Answer` that the outputs of a request for so many images are."""
    if "descriptor" not in outputs:
        given = f"the signature {signature!r} gives {sorted(outputs)} and no 'descriptor'"
        raise ServerError(f"{given}: serve a model of export_savedmodel.py")
    vectors = np.asarray(outputs["descriptor"])
    valid = np.asarray(outputs.get("valid", np.ones(count, bool)))
    fits = vectors.ndim == 2 and len(vectors) == count and valid.shape == (count,)
    if not fits or vectors.dtype.kind != "f" or valid.dtype != bool:
        kinds = f"descriptor {vectors.dtype} {vectors.shape}, valid {valid.dtype} {valid.shape}"
        raise ServerError(f"the answer to {count} images is not one vector for each: {kinds}")
    vectors = np.ascontiguousarray(vectors, np.float32)
    if not np.isfinite(vectors).all():
        raise ServerError("the server's vectors hold NaN or infinity: check the served model")
    return Answer(vectors, valid)
