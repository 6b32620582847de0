"""Requests to TensorFlow Serving over its REST interface; needs neither gRPC nor TensorFlow."""

import base64
import json
import random
import time
from urllib.parse import quote

import numpy as np
import urllib3
from urllib3 import exceptions as errors

from darac_tf.serving.transport import ServerError, Transport

_PASSING = (429, 502, 503, 504)
_CHUNK_BYTES = 1 << 16
_CONNECTIONS = 64
# Seconds that a server's Retry-After is heeded for at most.
_LONGEST_RETRY_AFTER = 60
# Bytes in JSON for one of a message: base64 makes 4 of 3, decimals of a float32 up to 25 of 4.
_JSON_GROWTH = 8


class SpreadRetry(urllib3.Retry):
    """Waits before the first repetition too, each from half to the whole of its length."""

    def get_backoff_time(self):
        # Of large exponents only the limit matters, and they would leave the range of floats.
        wait = self.backoff_factor * 2.0 ** min(len(self.history) - 1, 60)
        return min(wait, self.backoff_max) * random.uniform(0.5, 1)


class RestTransport(Transport):
    """A pool of connections; see `Transport`."""

    def __init__(self, address, model, timeout_s, message_bytes, retries, access):
        self.name = f"{'https' if access.tls else 'http'}://{address[0]}:{address[1]}"
        self._path = f"/v1/models/{quote(model, safe='')}"
        self._timeout_s = timeout_s
        self._answer_bytes = _JSON_GROWTH * message_bytes
        self._retry = SpreadRetry(
            retries.attempts - 1,
            other=0,  # such as a certificate that is not trusted
            allowed_methods=None,  # a prediction changes nothing: it may be asked for again
            status_forcelist=_PASSING,
            backoff_factor=retries.first_delay,
            backoff_max=retries.longest_delay,
            retry_after_max=_LONGEST_RETRY_AFTER,
        )
        headers = {"User-Agent": access.user_agent, **access.headers}
        kind = urllib3.HTTPSConnectionPool if access.tls else urllib3.HTTPConnectionPool
        secure = {"ssl_context": access.ssl_context()} if access.tls else {}
        self._pool = kind(*address, maxsize=_CONNECTIONS, headers=headers, **secure)

    def predict(self, images, signature, version=None):
        which = "" if version is None else f"/versions/{version}"
        instances = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        body = json.dumps({"signature_name": signature, "instances": instances}).encode("ascii")
        path = f"{self._path}{which}:predict"
        answer = self._ask("POST", path, body, self._retry, self._timeout_s)
        return _columns(answer.get("predictions"))

    def versions(self, within=None):
        retry, seconds = self._retry, self._timeout_s
        if within is not None:
            retry, seconds = retry.new(total=0), min(within, seconds)
        answer = self._ask("GET", self._path, None, retry, seconds)
        try:
            found = answer["model_version_status"]
            return {int(status["version"]): str(status["state"]) for status in found}
        except (KeyError, TypeError, ValueError) as error:
            strange = f"{self.name} gives no model versions, but {answer!r:.200}"
            raise ServerError(strange) from error

    def close(self):
        self._pool.close()

    def _ask(self, method, path, body, retry, seconds):
        """The answer, a dictionary; asked again as `retry` says."""
        while True:
            failure = response = None
            try:
                response, content = self._exchange(method, path, body, seconds)
            except errors.HTTPError as error:
                failure, code, reason = error, _code(error), str(error)
            else:
                answer, code = _parsed(content), f"HTTP {response.status}"
                reason = answer.get("error") if isinstance(answer, dict) else None
                reason = reason or content[:200].decode("utf-8", "replace") or "no details"
                if not retry.is_retry(method, response.status, "Retry-After" in response.headers):
                    if response.status == 200 and isinstance(answer, dict):
                        return answer
                    raise ServerError.refused(self.name, code, reason)
            try:
                attempts = len(retry.history) + 1
                retry = retry.increment(method, path, response, failure)
                retry.sleep(response)
            except errors.HTTPError as error:
                if isinstance(failure, errors.SSLError):
                    raise ServerError.refused(self.name, "TLS", reason) from error
                raise ServerError.unanswered(self.name, code, reason, attempts) from error

    def _exchange(self, method, path, body, seconds):
        """One attempt, bounded in time and in the size of the answer: `(response, bytes)`."""
        end = time.monotonic() + seconds
        headers = {**self._pool.headers, **({"Content-Type": "application/json"} if body else {})}
        response = self._pool.urlopen(
            method, path, body, headers, False, False,
            timeout=urllib3.Timeout(total=seconds), preload_content=False,
        )  # fmt: skip
        content = bytearray()
        try:
            # `read1` returns what has come: the socket's timeout bounds each piece, this the whole.
            while piece := response.read1(_CHUNK_BYTES):
                content += piece
                if len(content) > (most := self._answer_bytes):
                    raise ServerError(f"{self.name} answers with more than {most} bytes")
                if time.monotonic() > end:
                    late = f"no whole answer in {seconds} s"
                    raise errors.ReadTimeoutError(self._pool, path, late)
        except BaseException:
            # What is left of a broken exchange must not be taken for the next answer.
            response.close()
            raise
        return response, bytes(content)


def _code(error):
    """What gRPC would call a failure of the connection."""
    # A refused connection is an error of time to urllib3.
    is_refused = isinstance(error, errors.NewConnectionError)
    is_late = isinstance(error, errors.TimeoutError) and not is_refused
    return "DEADLINE_EXCEEDED" if is_late else "UNAVAILABLE"


def _parsed(content):
    """What JSON says; None where it is none."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _columns(predictions):
    """From a list of rows to arrays; rows of a signature with one output are not named."""
    if not isinstance(predictions, list) or not predictions:
        raise ServerError("the server's answer has no predictions")
    try:
        if not isinstance(predictions[0], dict):
            return {"descriptor": np.array(predictions, np.float32)}
        columns = {name: [row[name] for row in predictions] for name in predictions[0]}
        kinds = {"descriptor": np.float32}
        return {name: np.array(column, kinds.get(name)) for name, column in columns.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError("the server's predictions are not rows of numbers") from error
