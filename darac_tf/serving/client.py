"""The client: images in, vectors out, whatever the protocol."""

import collections
import time
from concurrent.futures import ThreadPoolExecutor

from darac_tf.errors import UserError
from darac_tf.serving.addresses import parse_address
from darac_tf.serving.batches import check_sizes, split_images
from darac_tf.serving.described import checked_answer, joined
from darac_tf.serving.retries import Retries, ServerError, TransientError

PROTOCOLS = ("grpc", "rest")
DEFAULT_MESSAGE_BYTES = 64 << 20


class Client:
    """Describes images by a server; a context manager that ends the connection.

    Args:
        transport: `GrpcTransport` or `RestTransport`; the client closes it.
        signature: `"robust"`, where a bad image gives zeros and False, or `"serving_default"`,
            where it fails the request.
        version: Of the model; None for the server's choice at every request.
        batch_size: Most images in a request.
        batch_bytes: Most bytes of images in a request; a larger image goes alone.
        message_bytes: Most bytes of an image.
        in_flight: Requests that are under way at a time.
        retries: `Retries`.
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
        retries=None,
    ):
        if in_flight < 1:
            raise ValueError(f"`in_flight` must be at least 1. Received: {in_flight}")
        self.version = version
        self._transport = transport
        self._signature = signature
        self._limits = (batch_size, min(batch_bytes, message_bytes))
        self._message_bytes = message_bytes
        self._in_flight = in_flight
        self._retries = retries or Retries()
        self._threads = ThreadPoolExecutor(in_flight, "describe")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Gives up what is not sent yet, and ends the connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._transport.close()

    def describe(self, images):
        """Describes images.

        Args:
            images: List of bytes, each an image file.

        Returns:
            `Described`, in the order of the images.

        Raises:
            ServerError: If the server refuses a request, such as for a bad image with
                `"serving_default"`; if it does not answer, however often it was asked; or if its
                answer is not one finite vector for each image.
        """
        sizes = [len(image) for image in images]
        check_sizes(sizes, self._message_bytes)
        parts = split_images(sizes, *self._limits)
        return joined(list(self.describe_each(images[start:stop] for start, stop in parts)))

    def describe_each(self, batches):
        """Describes images request by request, a few under way at a time.

        Args:
            batches: Iterable of non-empty lists of bytes, each a request. It is read as answers
                come, no further ahead than `in_flight`.

        Yields:
            `Described` of each, in their order.

        Raises:
            ServerError: As `describe`.
        """
        waiting = collections.deque()
        try:
            for batch in batches:
                if len(waiting) == self._in_flight:
                    yield waiting.popleft().result()
                waiting.append(self._threads.submit(self._request, batch))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def versions(self):
        """The model's versions on the server: dictionary of number to state.

        Raises:
            ServerError: If the server has no such model, or does not answer.
        """
        return self._retries.call(self._transport.versions, self._transport.name)

    def newest_version(self):
        """The largest number of a version that is available.

        Raises:
            ServerError: If there is none, or the server does not answer.
        """
        states = self.versions()
        newest = _newest_available(states)
        if newest is None:
            raise ServerError(
                f"{self._transport.name} has no version of the model that is available: {states}"
            )
        return newest

    def wait_until_ready(self, seconds, interval=0.5):
        """Waits for a server that is starting.

        Args:
            seconds: How long at most.
            interval: Seconds between two questions.

        Returns:
            The largest number of a version that is available.

        Raises:
            ServerError: If there is none by then.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                states = self._transport.versions()
                newest = _newest_available(states)
                if newest is not None:
                    return newest
                failure = f"states of its versions: {states}"
            except (ServerError, TransientError) as error:
                failure = str(error)
            if time.monotonic() + interval > end:
                raise ServerError(
                    f"{self._transport.name} is not ready after {seconds} s: {failure}"
                )
            time.sleep(interval)

    def _request(self, images):
        outputs = self._retries.call(
            lambda: self._transport.predict(images, self._signature, self.version),
            self._transport.name,
        )
        return checked_answer(outputs, len(images), self._signature)


def _newest_available(states):
    """The largest number whose state is AVAILABLE, or None."""
    return max((number for number, state in states.items() if state == "AVAILABLE"), default=None)


def connect(
    server,
    protocol="grpc",
    model="darac",
    timeout_s=30.0,
    message_bytes=DEFAULT_MESSAGE_BYTES,
    **options,
):
    """A client of a server; nothing is sent yet.

    Args:
        server: `HOST:PORT`. TensorFlow Serving's ports are 8500 for gRPC and 8501 for REST.
        protocol: `"grpc"` or `"rest"`.
        model: Name of the model on the server.
        timeout_s: Seconds that one attempt may take.
        message_bytes: Most bytes of images in a request; a server may take less.
        **options: See `Client`.

    Returns:
        `Client`.

    Raises:
        UserError: If the address or the protocol is none.
    """
    address = parse_address(server)
    if protocol == "grpc":
        # Imported here: REST needs neither gRPC nor TensorFlow.
        from darac_tf.serving.grpc_transport import GrpcTransport as Transport
    elif protocol == "rest":
        from darac_tf.serving.rest_transport import RestTransport as Transport
    else:
        raise UserError(f"--protocol={protocol}: choose one of {', '.join(PROTOCOLS)}")
    transport = Transport(address, model, timeout_s, message_bytes)
    return Client(transport, message_bytes=message_bytes, **options)
