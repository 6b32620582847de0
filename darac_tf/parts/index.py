"""An index of parts: which images are most like a descriptor, among more than a memory holds.

    parts_index.json     the parts, their model, the kind of index and how it is searched
    shard-000.faiss      a faiss index of the first rows, and so on; none for an exact search

What faiss finds is scored exactly, with the vectors of the parts, which stay where they are.
"""

import json
from pathlib import Path

import numpy as np

from darac_tf.choices import PARTS_INDEX_FILE
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.parts.part_files import Parts
from darac_tf.parts.part_rows import PartRows
from darac_tf.ranking.approximate_search import load_faiss, open_index, set_probes
from darac_tf.ranking.exact_search import search

_FORMAT = 1
_KINDS = {
    **{"parts": str, "model": str, "model_folder": (str, type(None)), "rows": int},
    **{"kind": (str, type(None)), "shards": int, "candidates": int, "probes": int},
}


def shard_path(folder, shard):
    """The file of a shard."""
    return Path(folder) / f"shard-{shard:03d}.faiss"


def shard_bounds(parts, shards):
    """The first row of each shard, and behind the last: shards begin where parts do.

    `UserError` if there are fewer parts with vectors than shards.
    """
    wanted = np.linspace(0, parts.rows, shards + 1)
    bounds = parts.offsets[np.abs(parts.offsets[:, None] - wanted).argmin(axis=0)]
    if (np.diff(bounds) <= 0).any():
        raise UserError(f"--shards={shards}: {len(parts)} parts give fewer: make it smaller")
    return bounds


def read_settings(folder):
    """What `parts_index.json` says, a dictionary; `UserError` if it is missing or damaged."""
    path = Path(folder) / PARTS_INDEX_FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        good = settings["format"] == _FORMAT
        good &= all(isinstance(settings[name], kind) for name, kind in _KINDS.items())
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise UserError(f"--index: {path} is missing or damaged: darac index --parts makes it")
    return settings


def write_settings(folder, settings):
    """Writes `parts_index.json`, which makes a folder an index of parts."""
    with atomic_path(Path(folder) / PARTS_INDEX_FILE) as path:
        path.write_text(json.dumps({"format": _FORMAT, **settings}, indent=1), encoding="utf-8")


def recall_text(recall):
    """A sentence on an `indexing.Recall`."""
    return (
        f"recall@10 {recall.recall:.3f} of the exact search, {1000 * recall.seconds:.1f} ms a "
        f"query ({recall.queries} held out)"
    )


class PartsIndex:
    """An index of parts that is open.

    Args:
        folder: Its folder.
        exact: Whether every vector is compared, whatever the index is.

    Attributes:
        settings: What `parts_index.json` says.
        parts: `Parts`.

    Raises:
        UserError: If it is none, its parts are others or gone, or a shard is damaged.
    """

    def __init__(self, folder, exact=False):
        self.settings = read_settings(folder)
        self.parts = Parts.open(self.settings["parts"])
        if (self.parts.model, self.parts.rows) != (self.settings["model"], self.settings["rows"]):
            changed = f"{self.parts.folder} is not as it was when {folder} was made"
            raise UserError(f"--index: {changed}: index it in another folder")
        self._vectors, self._graph, self._shards = PartRows(self.parts), None, []
        if self.settings["kind"] and not exact:
            self._graph = self._open(folder)

    @property
    def how(self):
        """How it is searched, in words."""
        if self._graph is None:
            return "Exact search"
        return f"Approximate search ({self.settings['kind']})"

    def find(self, vectors, top_k):
        """Searches with float32 `(queries, dim)`.

        Returns:
            List, for each query, of a tuple of int64 rows, best first, and their exact scores;
            `top_k` at most.

        Raises:
            UserError: If queries have another dimension, or a vector holds NaN or infinity.
        """
        if self._graph is None:
            return list(zip(*search(vectors, self._vectors, top_k), strict=True))
        found = []
        wanted = min(max(top_k, self.settings["candidates"]), self.parts.rows)
        for vector in vectors[:, None]:
            _, places = self._graph.search(vector, wanted)
            rows = np.sort(places[0][places[0] >= 0])
            places, scores = search(vector, self._vectors[rows], top_k)
            found.append((rows[places[0]], scores[0]))
        return found

    def ids(self, rows):
        """Ids of rows, a list."""
        parts = np.searchsorted(self.parts.offsets, rows, side="right") - 1
        of_part = {part: self.parts.ids(int(part)) for part in np.unique(parts)}
        places = rows - self.parts.offsets[parts]
        return [of_part[part][place] for part, place in zip(parts, places, strict=True)]

    def _open(self, folder):
        faiss = load_faiss()
        bounds = shard_bounds(self.parts, self.settings["shards"])
        for shard, rows in enumerate(np.diff(bounds)):
            path = shard_path(folder, shard)
            try:
                graph = open_index(faiss, path)
                sound = (graph.ntotal, graph.d) == (rows, self.parts.dim)
            except RuntimeError:
                sound = False
            if not sound:
                raise UserError(f"{path} is missing or damaged: remove it, and index again")
            set_probes(faiss, graph, self.settings["probes"])
            self._shards.append(graph)
        if len(self._shards) == 1:
            return self._shards[0]
        # Each on a thread of its own; rows of the second go on where those of the first end.
        together = faiss.IndexShards(self.parts.dim, True, True)
        for graph in self._shards:
            together.add_shard(graph)
        return together
