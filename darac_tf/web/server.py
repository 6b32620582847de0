"""Listens for browsers on this machine, and leaves word for `darac query` where."""

import contextlib
import ipaddress
import json
import logging
import os
import secrets
import socket
import threading
import webbrowser
from pathlib import Path

import uvicorn

from darac_tf.errors import UserError
from darac_tf.web.app import build_app
from darac_tf.web.client import ADDRESS_FILE

_LOG = logging.getLogger(__name__)
_TOKEN_BYTES = 16
_BACKLOG = 128
_GRACE_SECONDS = 3  # For requests that are being answered at the end.


def serve(collection, settings, host="127.0.0.1", port=0, is_opened=True, ready=print):
    """Serves the page of a `Collection` until it is interrupted.

    Args:
        collection: The `Collection`.
        settings: `WebSettings`.
        host: Address or name of the interface to listen on.
        port: Number of the port, 0 for any that is free.
        is_opened: Whether to open the page in the browser.
        ready: Called with the page's address once it can be asked for.

    Raises:
        UserError: If the port can't be had.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with _listening(host, port) as listener:
        address = f"http://{_name(host)}:{listener.getsockname()[1]}/{token}/"
        config = uvicorn.Config(
            build_app(collection, settings, token, host),
            log_level="warning",
            access_log=False,  # It would hold the token.
            server_header=False,
            # Beyond what the guard refuses in words: connections that ask for nothing.
            limit_concurrency=8 * settings.max_requests,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        with _word(collection.folder, address):
            ready(address)
            if is_opened:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            uvicorn.Server(config).run(sockets=[listener])


def _listening(host, port):
    try:
        return socket.create_server(
            (host, port), family=_family(host), backlog=_BACKLOG, reuse_port=False
        )
    except (OSError, OverflowError) as error:
        code = getattr(error, "errno", None)
        reason = os.strerror(code) if code and code > 0 else error
        raise UserError(
            f"--host={host} --port={port}: {reason}; name another, or port 0 for any that is free"
        ) from error


def _family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _name(host):
    """How others call what is listened on."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            return socket.gethostname()
        return f"[{host}]" if address.version == 6 else host
    return host


@contextlib.contextmanager
def _word(folder, address):
    """Keeps the address in a file that only its owner may read, during the block."""
    path, text = Path(folder) / ADDRESS_FILE, json.dumps({"address": address})
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        _LOG.warning("`darac query` won't find this page: %s: %s", path, error.strerror)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == text:
                path.unlink()
