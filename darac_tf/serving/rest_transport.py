"""Requests to TensorFlow Serving over its REST interface; needs neither gRPC nor TensorFlow."""

import base64
import http.client
import json
import threading
import time
from urllib.parse import quote

import numpy as np

from darac_tf.serving.retries import ServerError, TransientError

_PASSING = (429, 502, 503, 504)
_CHUNK_BYTES = 1 << 14
# Bytes in JSON for one of a message: base64 makes 4 of 3, decimals of a float32 up to 25 of 4.
_JSON_GROWTH = 8


class RestTransport:
    """Connections to one model of a server, one for each thread that asks.

    Args:
        address: `(host, port)`.
        model: Name of the model.
        timeout_s: Seconds that one attempt may take.
        message_bytes: Most bytes of images in a request, and of an answer's numbers.
    """

    def __init__(self, address, model, timeout_s, message_bytes):
        self.name = f"http://{address[0]}:{address[1]}"
        self._address = address
        self._path = f"/v1/models/{quote(model, safe='')}"
        self._timeout_s = timeout_s
        self._answer_bytes = _JSON_GROWTH * message_bytes
        self._own = threading.local()
        self._all = []

    def predict(self, images, signature, version=None):
        """Sends images to a signature, each as `{"b64": ...}`.

        Args:
            images: Non-empty list of bytes.
            signature: Name of the signature, whose only input takes the bytes.
            version: Of the model; None for the server's choice.

        Returns:
            Dictionary of output name to array.

        Raises:
            TransientError: If it is worthwhile to ask again.
            ServerError: If the server refuses the request, or its answer is none.
        """
        which = "" if version is None else f"/versions/{version}"
        instances = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        body = json.dumps({"signature_name": signature, "instances": instances}).encode("ascii")
        answer = self._ask("POST", f"{self._path}{which}:predict", body)
        return _columns(answer.get("predictions"))

    def versions(self):
        """The model's versions on the server: dictionary of number to state, as `"AVAILABLE"`.

        Raises:
            TransientError: If it is worthwhile to ask again.
            ServerError: If the server refuses, has no such model, or its answer is none.
        """
        answer = self._ask("GET", self._path, None)
        try:
            found = answer["model_version_status"]
            return {int(status["version"]): str(status["state"]) for status in found}
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"{self.name} gives no model versions, but {answer!r:.200}"
            ) from error

    def close(self):
        """Ends the connections."""
        for connection in self._all:
            connection.close()

    def _connection(self):
        if not hasattr(self._own, "connection"):
            host = self._address[0].strip("[]")
            connection = http.client.HTTPConnection(host, self._address[1], timeout=self._timeout_s)
            self._own.connection = connection
            self._all.append(connection)
        return self._own.connection

    def _ask(self, method, path, body):
        connection = self._connection()
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            end = time.monotonic() + self._timeout_s
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = self._read(response, end)
        except (OSError, http.client.HTTPException) as error:
            # What is left of a broken exchange must not be taken for the next answer.
            connection.close()
            late = isinstance(error, TimeoutError)
            code = "DEADLINE_EXCEEDED" if late else "UNAVAILABLE"
            raise TransientError(str(error) or type(error).__name__, code) from error
        except BaseException:
            connection.close()
            raise
        return self._parsed(response.status, content)

    def _read(self, response, end):
        """The whole answer; bounded in size and, unlike a socket's timeout, in total time."""
        parts, size = [], 0
        while part := response.read(_CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > self._answer_bytes:
                raise ServerError(f"{self.name} answers with more than {self._answer_bytes} bytes")
            if time.monotonic() > end:
                raise TimeoutError(f"no whole answer in {self._timeout_s} s")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(parts)

    def _parsed(self, status, content):
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        said = str(said or content[:200].decode("utf-8", "replace") or "no details")
        if status in _PASSING:
            raise TransientError(said, f"HTTP {status}")
        raise ServerError(
            f"{self.name} refused the request: HTTP {status}: {said}", f"HTTP {status}"
        )


def _columns(predictions):
    """From a list of rows to arrays; rows of a signature with one output are not named."""
    if not isinstance(predictions, list) or not predictions:
        raise ServerError("the server's answer has no predictions")
    try:
        if not isinstance(predictions[0], dict):
            return {"descriptor": np.array(predictions, np.float32)}
        columns = {name: [row[name] for row in predictions] for name in predictions[0]}
        return {
            name: np.array(values, np.float32 if name == "descriptor" else None)
            for name, values in columns.items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError("the server's predictions are not rows of numbers") from error
