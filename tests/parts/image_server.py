"""A web server on loopback that gives files, errors, delays, and answers that never end."""

import contextlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def image_server(files, seconds=0.0, statuses=None):
    """Gives `(URL, list of the paths that were asked for)`.

    Args:
        files: Dictionary of path ("/a.png") to content.
        seconds: Before each answer.
        statuses: Dictionary of path to a list of statuses, given in turn, before the file.

    `/never` never answers, `/drip` sends a byte now and then, `/short` less than it says.
    """
    asked, ended, statuses = [], threading.Event(), statuses or {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(seconds)
            if self.path == "/never":
                ended.wait(60)
            elif self.path in ("/drip", "/short"):
                self._begin(200, 1000)
                while self.path == "/drip" and not ended.wait(0.05):
                    self.wfile.write(b"x")
            elif statuses.get(self.path):
                self._begin(statuses[self.path].pop(0), 0)
            elif (content := files.get(self.path)) is None:
                self._begin(404, 0)
            else:
                found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                part = content[int(found[1]) : int(found[2]) + 1] if found else content
                self._begin(206 if found else 200, len(part))
                self.wfile.write(part)

        def _begin(self, status, length):
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    server.handle_error = lambda *_: None  # of clients that have given up
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
