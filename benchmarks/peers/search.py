"""The task of search: queries in a large memory-mapped file, and who does it without torch."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measuring import write_unit_vectors
from benchmarks.peers.contest import Task, needed, taking_part
from darac_tf.ranking.exact_search import search
from darac_tf.rows import unit_rows


def search_tasks(rows, dim, queries, top_k, wanted):
    """The task, whose file exists until the next one is asked for.

    Args:
        rows: Vectors in the file, float32 of unit length.
        dim: Numbers of each.
        queries: Queries of a search.
        top_k: Ranks of each.
        wanted: Function of a contestant's name to whether it takes part; the base always does.

    Yields:
        `Task`.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.f32"
        write_unit_vectors(file, rows, dim)
        settings = {"file": str(file), "dim": dim, "queries": queries, "top_k": top_k}
        found = {
            "bare blocked product, NumPy": "benchmarks.peers.search:BareProduct",
            "darac_tf, exact search": "benchmarks.peers.search:ExactSearch",
            "faiss IndexFlatIP": "benchmarks.peers.search:FaissFlat",
            "torch matmul + topk": "benchmarks.peers.torch_search:TorchSearch",
        }
        yield Task(
            f"search: {queries} queries in {rows} x {dim}, first {top_k}, s",
            taking_part({name: (factory, settings) for name, factory in found.items()}, wanted),
            work=queries * rows * dim,
        )


# As an index says of its unit vectors.
_LONGEST = 1.02


class Search:
    """What the contestants share: the file and the queries.

    Args:
        file: Raw float32 vectors.
        dim: Numbers of each.
        queries: How many; they are random.
        top_k: Ranks of each.
        block_rows: Vectors that are multiplied at once.

    Attributes:
        queries: `(queries, dim)`.
    """

    def __init__(self, file, dim, queries, top_k, block_rows=4096):
        self._file, self._dim, self._top_k, self._block_rows = file, dim, top_k, block_rows
        self.queries = unit_rows(np.random.default_rng(1).standard_normal((queries, dim)))

    def _database(self, mode="r"):
        """A new memory map `(rows, dim)`."""
        return np.memmap(self._file, np.float32, mode).reshape(-1, self._dim)

    def blocks(self):
        """Parts of a new memory map, `(block_rows, dim)`."""
        database = self._database()
        for start in range(0, len(database), self._block_rows):
            yield database[start : start + self._block_rows]


class BareProduct(Search):
    """The blocked float32 product alone, without ranks."""

    def products(self):
        """Products of all queries with a block of the file at a time, `(queries, rows)`."""
        for block in self.blocks():
            yield self.queries @ block.T

    def run(self):
        for _ in self.products():
            pass


class ExactSearch(Search):
    """This project's search over the memory map."""

    def run(self):
        how = self._top_k, self._block_rows
        return search(self.queries, self._database(), *how, longest=_LONGEST)


class FaissFlat(Search):
    """faiss with the vectors in memory, which it has copied before the clock runs."""

    def __init__(self, **settings):
        faiss = needed("faiss", "faiss-cpu")
        super().__init__(**settings)
        self._index = faiss.IndexFlatIP(self._dim)
        for block in self.blocks():
            self._index.add(np.array(block))

    def run(self):
        scores, rows = self._index.search(self.queries, self._top_k)
        return rows, scores
