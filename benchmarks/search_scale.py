"""Compares exact search in a large memory map with the bare blocked matrix product over it.

    python -m benchmarks.search_scale --file=search.f32 --rows=1000000 --dim=2048 --top_k=1000

Makes the file of random unit vectors where it is missing, and keeps it. Both are measured in turns
in one process, each time over a new memory map, with the file in the system's cache where it fits.
Prints seconds, the ratio of the medians, and the peak memory of the search: VmHWM counts the mapped
pages of the file, RssAnon what the process allocated. The first --check queries are compared with a
ranking by float64 products. Needs Linux: memory is read from /proc.
"""

import statistics
import threading
import time
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks.measuring import status_mib, write_unit_vectors
from benchmarks.peers.search import BareProduct, ExactSearch
from darac_tf import cli
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

FLAGS = flags.FLAGS
flags.DEFINE_string("file", None, "Raw float32 file; made if missing.", required=True)
flags.DEFINE_integer("rows", 1_000_000, "Database rows.", lower_bound=1)
flags.DEFINE_integer("dim", 2048, "Dimension.", lower_bound=1)
flags.DEFINE_integer("queries", 70, "Queries.", lower_bound=1)
flags.DEFINE_integer("top_k", 1000, "Ranks.", lower_bound=1)
flags.DEFINE_integer("block_rows", 4096, "Rows of a block, for both.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Timings of each.", lower_bound=1)
flags.DEFINE_integer("check", 2, "Queries that are checked.", lower_bound=0)


def make_file(path):
    """Writes the database, chunk by chunk, unless it is there."""
    n_bytes = 4 * FLAGS.rows * FLAGS.dim
    if path.exists():
        if path.stat().st_size != n_bytes:
            raise UserError(f"{path} has not {FLAGS.rows} x {FLAGS.dim} float32: name another file")
        return
    with atomic_path(path) as temporary:
        write_unit_vectors(temporary, FLAGS.rows, FLAGS.dim)


def seconds(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class PeakMemory:
    """Peak of VmHWM, counted from entering on, and of RssAnon, sampled every 5 ms, in MiB."""

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
        self.anonymous = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.resident = status_mib("VmHWM")

    def _sample(self):
        while not self._stop.wait(0.005):
            self.anonymous = max(self.anonymous, status_mib("RssAnon"))


def check(own, rows, scores):
    """Compares with products in float64 and a stable sort, query by query."""
    queries = own.queries[: FLAGS.check].astype(np.float64)
    for query, own_rows, own_scores in zip(queries, rows, scores, strict=False):
        exact = np.concatenate([block.astype(np.float64) @ query for block in own.blocks()])
        exact = exact.astype(np.float32)
        expected = np.argsort(-exact, kind="stable")[: FLAGS.top_k]
        if not np.array_equal(expected, own_rows) or not np.array_equal(
            exact[expected], own_scores
        ):
            return "DIFFERENT"
    return "equal"


def main():
    if not Path("/proc/self/clear_refs").exists():
        raise UserError("this benchmark reads memory from /proc: run it on Linux")
    make_file(Path(FLAGS.file))
    settings = FLAGS.file, FLAGS.dim, FLAGS.queries, FLAGS.top_k, FLAGS.block_rows
    bare, own = BareProduct(*settings), ExactSearch(*settings)
    bare.run()  # brings the file into the cache
    with PeakMemory() as peak:
        rows, scores = own.run()
    timings = {"bare product": [], "search": []}
    for _ in range(FLAGS.repeats):
        timings["bare product"].append(seconds(bare.run))
        timings["search"].append(seconds(own.run))
    print(
        f"{FLAGS.rows} x {FLAGS.dim} float32, {FLAGS.queries} queries, top {FLAGS.top_k}, "
        f"blocks of {FLAGS.block_rows} rows"
    )
    for name, each in timings.items():
        spread = ", ".join(f"{t:.2f}" for t in each)
        print(f"{name}: median {statistics.median(each):.2f} s ({spread})")
    of_bare, of_own = map(statistics.median, timings.values())
    print(f"ratio of the medians: {of_own / of_bare:.2f}")
    print(f"peak memory of search: VmHWM {peak.resident:.0f} MiB, RssAnon {peak.anonymous:.0f} MiB")
    if FLAGS.check:
        print(f"float64 ranking of {FLAGS.check} queries: {check(own, rows, scores)}")


if __name__ == "__main__":
    cli.run(main)
