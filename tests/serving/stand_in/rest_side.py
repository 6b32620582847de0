"""The REST side of the loopback stand-in: the dialect of TensorFlow Serving."""

import base64
import binascii
import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import tensorflow as tf

_PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d{1,18}))?:predict")
_STATUS = re.compile(r"/v1/models/([^/:]+)")
# HTTP's name for a status, as TensorFlow Serving has it; 500 for all others.
_HTTP = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 12: 501, 14: 503, 16: 401}
_IDLE_SECONDS = 60


def start_rest(models, port, queue, message_bytes, tls=None):
    """Starts serving on 127.0.0.1, a thread for each connection.

    Args:
        models: `LocalModels`.
        port: The port; 0 for a free one.
        queue: Connections at a time; further ones are closed at once.
        message_bytes: Most bytes of a request.
        tls: See `LocalServer`.

    Returns:
        `(server, port)`; `server.shutdown()` and `server.server_close()` end it.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    if tls:
        key, certificate, authority = tls
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
        # The handshake is left to the thread of the connection.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.models, server.message_bytes = models, message_bytes
    server.places = threading.BoundedSemaphore(queue)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server, server.server_address[1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def process_request(self, request, client_address):
        if not self.places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request, client_address):
        """A client that goes away is no failure of the server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_POST(self):
        found = _PREDICT.fullmatch(self.path)
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > self.server.message_bytes:
            self.close_connection = True
            self._answer(413, {"error": f"Content-Length must be 0..{self.server.message_bytes}"})
            return
        body = self.rfile.read(int(length))
        if not found:
            self._answer(404, {"error": f"Malformed request: POST {self.path}"})
            return
        self._try(lambda: self._predict(unquote(found[1]), found[2], body))

    def do_GET(self):
        found = _STATUS.fullmatch(self.path)
        if not found:
            self._answer(404, {"error": f"Malformed request: GET {self.path}"})
            return
        self._try(lambda: self._status(unquote(found[1])))

    def log_message(self, *_):
        """Quiet: one line a request helps nobody."""

    def _predict(self, name, version, body):
        signature, images = _read_request(body)
        version = None if version is None else int(version)
        model = self.server.models.find(name, version)[1]
        known = model.signatures.get(signature)
        names = sorted(known.inputs) if known else ["image_bytes"]
        if len(names) != 1:
            raise _invalid(f"{signature!r} has the inputs {names}, and one was sent")
        _, outputs = self.server.models.predict(name, version, signature, {names[0]: images})
        columns = {key: value.tolist() for key, value in outputs.items()}
        if len(columns) == 1:
            return {"predictions": next(iter(columns.values()))}
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}

    def _status(self, name):
        fine = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [
                {"version": str(version), "state": "AVAILABLE", "status": fine}
                for version in self.server.models.versions(name)
            ]
        }

    def _try(self, function):
        try:
            self.server.models.guard({name.lower(): value for name, value in self.headers.items()})
            self._answer(200, function())
        except tf.errors.OpError as error:
            self._answer(_HTTP.get(error.error_code, 500), {"error": error.message})

    def _answer(self, status, content):
        body = json.dumps(content).encode("ascii")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _read_request(body):
    """`(signature, object array of bytes (images,))` of a request in rows."""
    try:
        request = json.loads(body)
        signature = request.get("signature_name", "serving_default")
        images = [_bytes(instance) for instance in request["instances"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(
            'the request must be {"signature_name": ..., "instances": [{"b64": ...}, ...]}'
        ) from error
    if not isinstance(signature, str) or not images:
        raise _invalid("signature_name must be a string, and instances a list that is not empty")
    return signature, np.array(images, object)


def _bytes(instance):
    if set(instance) == {"image_bytes"}:
        instance = instance["image_bytes"]
    try:
        return base64.b64decode(instance["b64"], validate=True)
    except binascii.Error as error:
        raise _invalid(f"b64: {error}") from error


def _invalid(message):
    return tf.errors.InvalidArgumentError(None, None, message)
