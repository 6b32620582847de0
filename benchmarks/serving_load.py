"""Loads a served model with concurrent clients, and checks every vector that comes back.

    python -m benchmarks.serving_load --model=export/photos --seconds=120

The server is the loopback stand-in (`tests.serving.stand_in.server`) in a process of its own. Each
client sends a request, waits for the answer, checks it and sends the next: images of mixed sizes
and formats, drawn by chance, a share of them corrupt. Vectors are compared with those that the
model gave before, image by image, without a server. Prints a Markdown table; the exit status is 1
after a wrong vector or a failed request.
"""

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
from absl import flags
from PIL import Image

from benchmarks.measuring import peak_mib, resident_mib
from darac_tf import cli
from darac_tf.errors import UserError
from darac_tf.serving import Retries, ServerError, connect
from tests.serving.stand_in.model import load_versions

_FLAGS = flags.FLAGS
TOLERANCE = 1e-5
# As in serving/compose.yaml.
ENVIRONMENT = {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}
_SIZES = ((64, 48), (160, 120), (240, 320), (333, 500), (640, 480), (1024, 768))
_FORMATS = ("JPEG", "PNG", "JPEG", "BMP", "JPEG", "GIF")


def mixed_images(count=48, corrupt=8, seed=0):
    """Encoded images of mixed sizes and formats, and corrupt ones.

    Args:
        count: Sound ones.
        corrupt: Truncated ones, empty ones and text, after them.
        seed: Integer; the same seed gives the same bytes.

    Returns:
        List of bytes.
    """
    rng = np.random.default_rng(seed)
    sound = []
    for number in range(count):
        width, height = _SIZES[number % len(_SIZES)]
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
        out = io.BytesIO()
        image.save(out, _FORMATS[(number // len(_SIZES)) % len(_FORMATS)])
        sound.append(out.getvalue())
    # In the header: more of an image may count as sound, for a decoder that fills up.
    damaged = (sound[int(rng.integers(count))][: int(rng.integers(12))] for _ in range(corrupt))
    others = [b"", b"no image" * 100]
    return [*sound, *(others + list(damaged))[:corrupt]]


@dataclasses.dataclass
class Tally:
    """What the clients saw.

    Attributes:
        latencies: Seconds of each request.
        images: Images that came back as they should.
        wrong: Vectors or verdicts that differ from those without a server.
        errors: Failed requests by the name of the failure.
        memory: Resident MiB of the server: at the start, after the warm-up, at the end, and the
            most it ever was.
        seconds: That the load lasted.
    """

    latencies: list = dataclasses.field(default_factory=list)
    images: int = 0
    wrong: int = 0
    errors: Counter = dataclasses.field(default_factory=Counter)
    memory: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self):
        self._lock = threading.Lock()

    def add(self, latency, wrong, count):
        """Counts an answer."""
        with self._lock:
            self.latencies.append(latency)
            self.wrong += wrong
            self.images += count - wrong

    def fail(self, code):
        """Counts a failed request."""
        with self._lock:
            self.errors[code] += 1


def offline_answers(base, images):
    """`(vectors (n, dim), valid (n,))` of images, one a run, without a server."""
    (model,) = load_versions(base).values()
    inputs = ({"image_bytes": np.array([image], object)} for image in images)
    found = [model.run("robust", one) for one in inputs]
    model.close()
    vectors, valid = ([answer[key][0] for answer in found] for key in ("descriptor", "valid"))
    return np.array(vectors), np.array(valid)


@contextlib.contextmanager
def local_server(base, threads=8):
    """Starts the stand-in in a process of its own: `(process, {"grpc": ..., "rest": ...})`.

    What the environment says goes before `ENVIRONMENT`.
    """
    command = [sys.executable, "-m", "tests.serving.stand_in.server", f"--model={base}"]
    command += ["--port=0", "--rest_port=0", f"--threads={threads}"]
    environment = ENVIRONMENT | os.environ
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            words = process.stdout.readline().replace(",", "").split()
            if not words:
                raise UserError(f"--model={base}: the server did not start")
            yield process, {"grpc": words[words.index("gRPC") + 1], "rest": words[-1]}
        finally:
            process.terminate()
            process.wait(timeout=60)


def load(address, protocol, choose, answers, clients, seconds, batch, tally, seed=0):
    """Runs clients for a time; they fill the tally.

    Args:
        address: `HOST:PORT`.
        protocol: `"grpc"` or `"rest"`.
        choose: Function of a generator and a number to places of images, see `chooser`.
        answers: `(list of bytes, vectors, valid)` of all images, as they must come back.
        clients: How many at a time.
        seconds: How long.
        batch: Images of a request.
        tally: `Tally`.
        seed: Of the choice of images.
    """
    end = time.monotonic() + seconds

    def work(number):
        rng = np.random.default_rng([seed, number])
        with connect(address, protocol, timeout_s=120, retries=Retries(1), in_flight=1) as client:
            while time.monotonic() < end:
                _ask(client, choose(rng, batch), answers, tally)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds += time.monotonic() - begin


def _ask(client, places, answers, tally):
    data, vectors, valid = answers
    begin = time.monotonic()
    try:
        found = client.describe([data[place] for place in places])
    except ServerError as error:
        tally.fail(error.code or "wrong answer")
        return
    latency = time.monotonic() - begin
    same = (np.abs(found.vectors - vectors[places]) <= TOLERANCE).all(axis=1)
    same &= found.valid == valid[places]
    tally.add(latency, int((~same).sum()), len(places))


def chooser(valid, corrupt_share):
    """A function of a generator and a number to places of images, a share of them corrupt."""
    good, bad = np.flatnonzero(valid), np.flatnonzero(~valid)

    def choose(rng, count):
        is_bad = rng.random(count) < corrupt_share
        return np.where(is_bad, rng.choice(bad, count), rng.choice(good, count))

    return choose


def measure(base, clients, seconds, warm_seconds, corrupt_share, protocol="grpc", batch=1):
    """The whole measurement with a server of its own: `Tally`."""
    data = mixed_images()
    vectors, valid = offline_answers(base, data)
    if valid.all() or not valid.any():
        raise UserError(f"--model={base}: its verdicts on sound and corrupt images are all alike")
    choose, answers = chooser(valid, corrupt_share), (data, vectors, valid)
    tally = Tally()
    with local_server(base) as (process, addresses):
        address = addresses[protocol]
        tally.memory.append(resident_mib(process.pid))
        warm = Tally()
        load(address, protocol, choose, answers, clients, warm_seconds, batch, warm, seed=1)
        tally.memory.append(resident_mib(process.pid))
        load(address, protocol, choose, answers, clients, seconds, batch, tally, seed=2)
        tally.memory += [resident_mib(process.pid), peak_mib(process.pid)]
    tally.wrong += warm.wrong
    tally.errors += warm.errors
    return tally


def markdown(tally, clients, batch, protocol):
    """The tally as a table of two columns."""
    p50, p95, p99 = np.percentile(tally.latencies, [50, 95, 99]) if tally.latencies else [0] * 3
    errors = ", ".join(f"{count} {code}" for code, count in sorted(tally.errors.items()))
    memory = [f"{value:.0f}" for value in tally.memory]
    rows = {
        "clients, images a request, protocol": f"{clients}, {batch}, {protocol}",
        "seconds": f"{tally.seconds:.1f}",
        "requests": f"{len(tally.latencies)}",
        "images/s": f"{tally.images / max(tally.seconds, 1e-9):.1f}",
        "latency p50, p95, p99 (ms)": f"{1e3 * p50:.1f}, {1e3 * p95:.1f}, {1e3 * p99:.1f}",
        "wrong vectors": f"{tally.wrong}",
        "failed requests": errors or "0",
        "server's memory: start, warm, end, peak (MiB)": ", ".join(memory) or "not measured",
    }
    return "\n".join(
        ["| figure | value |", "| --- | ---: |", *(f"| {k} | {v} |" for k, v in rows.items())]
    )


def _define_flags():
    flags.DEFINE_string("model", None, "Folder of versions, as exported.", required=True)
    flags.DEFINE_integer("clients", 32, "Concurrent clients.", lower_bound=1)
    flags.DEFINE_float("seconds", 120, "How long.", lower_bound=0.1)
    flags.DEFINE_float("warm_seconds", 10, "Load before it, which is not counted.", lower_bound=0)
    flags.DEFINE_float("corrupt", 0.01, "Share of corrupt images.", 0, 1)
    flags.DEFINE_enum("protocol", "grpc", ["grpc", "rest"], "How to talk to the server.")
    flags.DEFINE_integer("batch", 1, "Images of a request.", lower_bound=1)


def main():
    settings = (_FLAGS.clients, _FLAGS.seconds, _FLAGS.warm_seconds, _FLAGS.corrupt)
    tally = measure(_FLAGS.model, *settings, _FLAGS.protocol, _FLAGS.batch)
    print(markdown(tally, _FLAGS.clients, _FLAGS.batch, _FLAGS.protocol))
    sys.exit(1 if tally.wrong or tally.errors else 0)


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
