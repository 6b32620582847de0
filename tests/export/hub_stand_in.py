"""A server that answers what huggingface_hub asks the hub, of models in memory."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class StandIn(ThreadingHTTPServer):
    """`files` has the contents by path of each repository, and `heads` the heads of cards.

    One that `refuses` takes no files.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.heads, self.refuses = {}, [], False
        self.address = f"http://127.0.0.1:{self.server_port}"

    def revision(self, repository):
        """Of the repository as it is: 40 hexadecimal digits."""
        content = sorted(self.files[repository].items())
        return hashlib.sha1(repr(content).encode()).hexdigest()


@contextlib.contextmanager
def serving():
    """A `StandIn` that answers during the block."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path, files = self.path.partition("?")[0], self.server.files
        if self.server.refuses:
            return self._json({"error": "no right to write"}, 403)
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            files.setdefault(name, {})
            return self._json({"url": f"{self.server.address}/{name}"})
        if path == "/api/validate-yaml":
            self.server.heads.append(json.loads(body)["content"])
            return self._json({"errors": [], "warnings": []})
        repository, action = self._repository(path)
        if action.startswith("preupload/"):
            paths = [file["path"] for file in json.loads(body)["files"]]
            kind = {"uploadMode": "regular", "shouldIgnore": False}
            return self._json({"files": [{"path": each, **kind} for each in paths]})
        if action.startswith("commit/"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    files[repository][line["value"]["path"]] = content
            revision = self.server.revision(repository)
            url = f"{self.server.address}/{repository}/commit/{revision}"
            return self._json({"commitUrl": url, "commitOid": revision, "success": True})
        return self._json({"error": "unknown"}, 404)

    def do_GET(self):
        path = unquote(self.path.partition("?")[0])
        if not path.startswith("/api/"):
            repository, _, rest = path.removeprefix("/").partition("/resolve/")
            name = rest.partition("/")[2]
            return self._send(self.server.files[repository][name], repository)
        repository, action = self._repository(path)
        if repository not in self.server.files:
            return self._json({"error": "Repository not found"}, 404)
        files = self.server.files[repository]
        if action.startswith("tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": _digest(data)}
                for name, data in files.items()
            ]
            return self._json(entries)
        siblings = [{"rfilename": name} for name in files]
        facts = {"id": repository, "sha": self.server.revision(repository), "siblings": siblings}
        return self._json(facts | {"private": False, "tags": [], "downloads": 0, "likes": 0})

    def do_HEAD(self):
        self.do_GET()

    @staticmethod
    def _repository(path):
        user, name, *action = path.removeprefix("/api/models/").split("/", 2)
        return f"{user}/{name}", "".join(action)

    def _json(self, content, status=200):
        self._send(json.dumps(content).encode(), None, status)

    def _send(self, data, repository, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        if repository:
            self.send_header("X-Repo-Commit", self.server.revision(repository))
            self.send_header("ETag", f'"{_digest(data)}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        """Nothing is printed."""


def _digest(data):
    return hashlib.sha1(data).hexdigest()
