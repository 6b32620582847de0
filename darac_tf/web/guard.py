"""Who may ask the page: an ASGI layer around it that refuses all others before it sees them.

- The address has a random token in it, compared in constant time.
- Host must be this machine by address or own name: a foreign name that was made to point here (DNS
  rebinding) is none.
- Origin, which browsers send with what a page asks for by script or form, must be the page itself.
- Only so many requests are answered at a time.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Guard:
    """Wraps an ASGI application.

    Args:
        app: The application.
        token: First part of each path.
        host: What is listened on, an address or a name.
        max_requests: Requests that are answered at a time; further ones get status 503.
    """

    def __init__(self, app, token, host, max_requests):
        self._app, self._token, self._left = app, token, max_requests
        self._is_open = host not in _LOOPBACK
        self._names = {host.lower(), *_LOOPBACK}
        if self._is_open:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, fault = self._fault(scope)
        if status:
            headers = {"Retry-After": "1"} if status == 503 else None
            answer = JSONResponse({"error": fault}, status, headers)
            await answer(scope, receive, _with_headers(send))
            return
        scope["root_path"] = f"/{self._token}"
        self._left -= 1
        try:
            await self._app(scope, receive, _with_headers(send))
        except asyncio.CancelledError:  # What takes long when the page is ended.
            with contextlib.suppress(RuntimeError):  # Its answer has begun.
                answer = JSONResponse({"error": "the page has ended"}, 503)
                await answer(scope, receive, _with_headers(send))
        finally:
            self._left += 1

    def _fault(self, scope):
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_own(host):
            return 421, "this is another machine"
        if origin is not None and origin != f"{scope['scheme']}://{host}":
            return 403, "only this page's own requests are answered"
        token = scope["path"].removeprefix("/").split("/")[0].encode()
        if not secrets.compare_digest(token, self._token.encode()):
            return 404, "no such page: the whole address that `darac web` printed is needed"
        if self._left < 1:
            return 503, "too many requests at a time: try again"
        return None, None

    def _is_own(self, host):
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self._names:
                return True
            # No name server is asked about an address.
            return self._is_open and bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _with_headers(send):
    async def sent(message):
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sent
