"""Loads the search page with concurrent clients, and times searches with uploaded pictures.

    python -m benchmarks.web --model=export/photos/1 --rows=100000 --seconds=60 --clients=16

The index has random unit vectors of the model's dimension, and its page runs in a process of its
own. One client first uploads a picture of some 3 MB and searches with it, again and again; then all
clients search with pictures of their own, with images of the index, and ask for thumbnails, each
after the answer to the one before. Answers are compared with products in NumPy. Prints a Markdown
table; the exit status is 1 after a wrong answer or a failed request. Needs Linux: memory is read
from /proc.
"""

import base64
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from benchmarks.measuring import status_mib
from darac_tf import cli
from darac_tf.data.content_keys import VIEW_KEY_BYTES, content_key
from darac_tf.errors import UserError
from darac_tf.rows import unit_rows
from darac_tf.search import ExportedModel, writing
from darac_tf.web.client import Client

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "EXPORT/VERSION.", required=True)
flags.DEFINE_integer("rows", 100_000, "Images of the index.", lower_bound=1000)
flags.DEFINE_integer("uploads", 20, "Pictures that one client uploads first.", lower_bound=1)
flags.DEFINE_integer("seconds", 60, "How long all clients ask.", lower_bound=1)
flags.DEFINE_integer("clients", 16, "Clients that ask at a time.", lower_bound=1)
_FILES, _CHUNK, _COUNT = 64, 8192, 60


def picture(width, height, seed=0, **options):
    """The bytes of a JPEG with some detail."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8))
    noise = rng.integers(0, 24, (height, width, 3), np.uint8)
    pixels = np.asarray(coarse.resize((width, height), Image.BICUBIC)) // 255 * 230 + noise
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def make_index(folder, model):
    """An index of some real files, all other vectors being those of names without a file."""
    rng = np.random.default_rng(0)
    with writing(folder / "index", model) as index, index.table.writing():
        for start in range(0, FLAGS.rows, _CHUNK):
            count = min(_CHUNK, FLAGS.rows - start)
            keys = []
            with index.files.transaction():
                for number in range(start, start + count):
                    path, data = folder / "photos" / f"{number}.jpg", b"%d" % number
                    if number < _FILES:
                        data = picture(480, 320, number)
                        path.parent.mkdir(exist_ok=True)
                        path.write_bytes(data)
                    keys.append(content_key(data).ljust(VIEW_KEY_BYTES, b"\0"))
                    index.files.put(str(path).encode(), len(data), 0, keys[-1])
            vectors = rng.standard_normal((count, model.dimension), np.float32)
            words = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, VIEW_KEY_BYTES)
            index.table.append(words, unit_rows(vectors))
    return folder / "index"


@contextlib.contextmanager
def page_of(index):
    """The `Client` and process of a page that runs."""
    command = [sys.executable, "-m", "darac_tf.commands", "web", f"--index={index}", "--noopen"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline(), process.stdout.readline()]
            if not lines[1].startswith("http"):
                raise UserError("the page did not start")
            yield Client(lines[1].strip()), process.pid
        finally:
            process.terminate()


class Load:
    """What clients ask, and what came of it.

    Attributes:
        seconds: Dictionary of the kind of a request to a list of seconds.
        faults: List of texts.
    """

    def __init__(self, client, vectors):
        self._client, self._vectors = client, vectors
        self._generation = client.state()["generation"]
        self.seconds, self.faults = defaultdict(list), []

    def upload(self, data):
        """Describes a picture and searches with it; returns the part of the query."""
        with self._timed("upload and search"):
            with self._timed("  description"):
                part = self._client.ask("POST", "describe", data, 120)
            with self._timed("  search"):
                results = self._search(part)
        vector = np.frombuffer(base64.b64decode(part["vector"]), "<f4")
        self._check(results, vector)

    def row(self, row):
        with self._timed("search with an image of the index"):
            results = self._search({"row": row})
        if results[0]["row"] != row:
            self.faults.append(f"row {row} did not find itself")
        self._check(results, self._vectors[row])

    def thumbnail(self, row):
        with self._timed("thumbnail"):
            data = self._client.ask("GET", f"thumbnail/{self._generation}/{row}", is_json=False)
        if not data.startswith(b"\xff\xd8"):
            self.faults.append(f"the thumbnail of {row} is no JPEG")

    def run(self, number, end):
        """Asks until a moment, as one of many clients."""
        rng = np.random.default_rng(number)
        own = picture(640, 480, number)
        while time.monotonic() < end:
            try:
                self.upload(own)
                for _ in range(4):
                    self.row(int(rng.integers(FLAGS.rows)))
                for _ in range(12):
                    self.thumbnail(int(rng.integers(_FILES)))
            except (OSError, ValueError) as error:
                self.faults.append(f"{type(error).__name__}: {error}")

    def _search(self, part):
        query = {"generation": self._generation, "plus": [part], "count": _COUNT}
        return self._client.ask("POST", "search", json.dumps(query).encode(), 120)["results"]

    def _check(self, results, vector):
        rows = [each["row"] for each in results]
        expected = self._vectors[rows] @ vector
        if not np.allclose([each["similarity"] for each in results], expected, atol=1e-5):
            self.faults.append("wrong similarities")
        if (np.diff(expected) > 1e-5).any() or len(set(rows)) != _COUNT:
            self.faults.append("wrong order")

    @contextlib.contextmanager
    def _timed(self, kind):
        begin = time.perf_counter()
        yield
        self.seconds[kind].append(time.perf_counter() - begin)

    def table(self):
        """Rows of a Markdown table."""
        for kind, seconds in self.seconds.items():
            figures = np.percentile(seconds, [50, 95, 100]) * 1000
            yield (
                f"| {kind.strip()} | {len(seconds)} | "
                + " | ".join(f"{x:.0f}" for x in figures)
                + " |"
            )


def main():
    with tempfile.TemporaryDirectory() as folder:
        index = make_index(Path(folder), ExportedModel(FLAGS.model))
        dimension = json.loads((index / "index.json").read_text(encoding="utf-8"))["dimension"]
        vectors = np.memmap(index / "vectors-1" / "rows.f32", np.float32, "r").reshape(
            -1, dimension
        )
        large = picture(4000, 3000, quality=90)
        with page_of(index) as (client, pid):
            one, many = Load(client, vectors), Load(client, vectors)
            one.upload(large)  # What happens only once.
            one.seconds.clear()
            for _ in range(FLAGS.uploads):
                one.upload(large)
            before = status_mib("RssAnon", pid)
            end = time.monotonic() + FLAGS.seconds
            clients = [
                threading.Thread(target=many.run, args=(number, end))
                for number in range(FLAGS.clients)
            ]
            for each in clients:
                each.start()
            time.sleep(FLAGS.seconds / 2)
            half = status_mib("RssAnon", pid)
            for each in clients:
                each.join()
            after = status_mib("RssAnon", pid)
    head = "| request | number | median ms | p95 | most |\n| --- | ---: | ---: | ---: | ---: |"
    print(
        f"{FLAGS.rows} x {dimension}; one client, uploads of {len(large) / 1e6:.1f} MB:\n\n{head}"
    )
    print("\n".join(one.table()))
    print(f"\n{FLAGS.clients} clients, {FLAGS.seconds} s, uploads of 640 x 480:\n\n{head}")
    print("\n".join(many.table()))
    print(
        f"\nmemory (RssAnon): {before:.0f} MiB before, {half:.0f} half-way, {after:.0f} at the end"
    )
    faults = one.faults + many.faults
    print(f"faults: {len(faults)}", *faults[:5], sep="\n")
    if faults:
        raise UserError(f"{len(faults)} answers were wrong or failed")


if __name__ == "__main__":
    cli.run(main)
