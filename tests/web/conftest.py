"""A page over an index of small pictures, described by a stand-in of a model."""

import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from darac_tf.web import server
from darac_tf.web.app import build_app
from darac_tf.web.collection import Collection
from darac_tf.web.settings import WebSettings
from tests.helpers import write_image
from tests.search.collection import run
from tests.search.small_model import StandIn

TOKEN = "the-token"
MOST_PIXELS = 5000
# Markup, quotes, a change of direction, a line break, and bytes that are no text.
ODD_NAMES = [b"<img src=x onerror=alert(1)>.png", b"\"'&\xe2\x80\xae.png", b"a\nb\xff.png"]


@dataclass
class Place:
    """Where pictures, index and page are."""

    folder: Path
    client: TestClient = field(repr=False, default=None)
    collection: Collection = None

    @property
    def photos(self):
        return self.folder / "photos"

    @property
    def index(self):
        return self.folder / "an <b>index"

    def ask(self, path, json=None, status=200, **options):
        """The answer to a request below the token: JSON, or bytes of anything else."""
        method = "GET" if json is None and "content" not in options else "POST"
        answer = self.client.request(method, f"/{TOKEN}/{path}", json=json, **options)
        assert answer.status_code == status, answer.text
        is_json = answer.headers["content-type"] == "application/json"
        return answer.json() if is_json else answer.content

    def search(self, status=200, **query):
        generation = self.collection.snapshot.generation
        return self.ask("search", {"generation": generation, **query}, status)

    def row(self, path):
        """The row of a file."""
        results = self.search(count=1000)["results"]
        (row,) = [each["row"] for each in results if os.fspath(path) in each["paths"]]
        return row

    def address(self, kind, path):
        return f"{kind}/{self.collection.snapshot.generation}/{self.row(path)}"


def write_pictures(folder):
    """Twelve pictures in two folders, three of odd names, and a copy."""
    for number in range(9):
        write_image(folder / "ab"[number % 2] / f"{number}.png", 30 + number, 40, seed=number)
    for number, name in enumerate(ODD_NAMES, 9):
        write_image(folder / "plain.png", 30, 40, seed=number)
        (folder / "plain.png").rename(os.fsdecode(os.fsencode(folder) + b"/b/" + name))
    shutil.copy(folder / "a" / "0.png", folder / "b" / "copy.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A page that tests of a module share, and leave as it is."""
    yield from _open(tmp_path_factory.mktemp("page"))


@pytest.fixture
def own_place(tmp_path):
    """A page of a test of its own."""
    yield from _open(tmp_path)


def _open(folder):
    place = Place(folder)
    write_pictures(place.photos)
    run(place.index, place.photos)
    place.collection = Collection(place.index, StandIn(), MOST_PIXELS)
    app = build_app(place.collection, WebSettings(max_upload_mb=1, max_requests=2), TOKEN)
    with TestClient(app, "http://127.0.0.1:8000") as place.client:
        yield place


@pytest.fixture
def served(monkeypatch):
    """Serves a `Collection` in a thread: returns its address and a function that ends it."""
    threads, servers, started = [], [], threading.Event()

    class Kept(uvicorn.Server):
        def run(self, sockets):
            servers.append(self)
            started.set()
            super().run(sockets)

    monkeypatch.setattr(uvicorn, "Server", Kept)

    def begin(collection):
        addresses = []
        thread = threading.Thread(
            target=server.serve,
            args=(collection, WebSettings()),
            kwargs={"is_opened": False, "ready": addresses.append},
        )
        threads.append(thread)
        thread.start()
        assert started.wait(20)
        return addresses[0], end

    def end():
        for each in servers:
            each.should_exit = True
        for each in threads:
            each.join(20)

    yield begin
    end()
