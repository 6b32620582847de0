"""A faiss index of an index's vectors, for collections where an exact search takes too long.

It lies in a subfolder named after its vectors and its kind, and covers the vectors of the moment it
was made. Later ones are compared one by one; once they are a tenth, it is made anew. What it finds
is scored exactly, so that it may miss images and does nothing else wrong.
"""

import hashlib
import importlib.util
import shutil
from dataclasses import dataclass

import numpy as np

from darac_tf.choices import AUTOMATIC_FAISS, AUTOMATIC_FAISS_IMAGES, PROBES
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.ranking import approximate_search as approximate
from darac_tf.ranking.exact_search import search

_UNCOVERED_SHARE = 0.1
# A graph looks around further for more of them, and misses less; all are scored exactly.
_LEAST_CANDIDATES = 256
_GRAPH, _ROWS, _KIND = "graph.faiss", "rows.npy", "kind.txt"


@dataclass(frozen=True)
class FaissIndex:
    """A faiss index and what it covers."""

    kind: str  # Text for `faiss.index_factory`.
    graph: object  # The faiss index.
    rows: np.ndarray  # int64 `(n,)`, rising: the row of the vector table behind each of its places.


def automatic_kind(n_images):
    """ "auto" for a number of images, or None for an exact search: few images, or no faiss."""
    wanted = n_images > AUTOMATIC_FAISS_IMAGES and importlib.util.find_spec("faiss")
    return AUTOMATIC_FAISS if wanted else None


def load_faiss_index(index, kind):
    """Opens the `FaissIndex` of a kind, or of "auto", memory-mapped where faiss can do so.

    None where an `Index` has none for these vectors, or too many are uncovered.

    Raises:
        UserError: If faiss is not installed, or the files are damaged.
    """
    faiss = approximate.load_faiss()
    folder = _folder(index, kind)
    if not (folder / _ROWS).is_file():
        return None
    try:
        rows = np.load(folder / _ROWS, mmap_mode="r", allow_pickle=False)
        graph = approximate.open_index(faiss, folder / _GRAPH)
        if kind == AUTOMATIC_FAISS:
            kind = (folder / _KIND).read_text(encoding="utf-8")
            approximate.set_probes(faiss, graph, PROBES)
        sound = graph.ntotal == len(rows) and graph.d == index.settings["dimension"]
    except (OSError, ValueError, RuntimeError):
        sound = False
    if not sound:
        raise UserError(f"{folder} is damaged: delete it, and it is made anew")
    uncovered = np.isin(index.live()[1], rows, invert=True).sum()
    if uncovered > _UNCOVERED_SHARE * len(rows):
        return None
    return FaissIndex(kind, graph, rows)


def make_faiss_index(index, kind, memory=None):
    """Makes and keeps a `FaissIndex`, in place of an earlier one of its kind; returns the kind.

    Works within `writing`; `kind` and `memory` are those of `approximate_search.build_index`.

    Raises:
        UserError: If faiss is not installed, does not know the kind, there are too few images, or
            it would not fit into the memory.
    """
    faiss = approximate.load_faiss()
    _, live = index.live()
    if not len(live):
        raise UserError(f"{index.folder} holds no image yet: index again")
    graph, built = approximate.build_index(faiss, index.vectors(live), kind, memory)
    folder = _folder(index, kind)
    _remove(folder)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        faiss.write_index(graph, str(temporary / _GRAPH))
        (temporary / _KIND).write_text(built, encoding="utf-8")
        np.save(temporary / _ROWS, live)
    return built


def remove_stale(index):
    """Removes faiss indexes of vectors that are no longer there; works within `writing`."""
    for folder in index.folder.glob("faiss-*"):
        if not folder.name.startswith(f"faiss-{index.settings['vectors']}-"):
            _remove(folder)


def candidates(index, faiss_index, queries, live, top_k):
    """Rows that may be among the best for a query, float32 `(1, dimension)`.

    Returns:
        int64 array, rising: the first top_k or more that faiss finds among `live`, the rows in use
        (rising), and the exact first top_k of those that it does not cover.
    """
    covered = len(faiss_index.rows)
    wanted = min(max(top_k, _LEAST_CANDIDATES), covered)
    while True:
        _, places = faiss_index.graph.search(queries, wanted)
        usable = faiss_index.rows[places[0][places[0] >= 0]]
        usable = usable[np.isin(usable, live)]
        # Rows that are no longer in use take places.
        if len(usable) >= top_k or wanted == covered:
            break
        wanted = min(2 * wanted, covered)
    later = np.setdiff1d(live, faiss_index.rows, assume_unique=True)
    if len(later):
        places, _ = search(queries, index.vectors(later), top_k)
        usable = np.concatenate([usable, later[places[0]]])
    return np.sort(usable)


def _remove(folder):
    # First what it is known by, in case that this is interrupted.
    (folder / _ROWS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _folder(index, kind):
    digest = hashlib.blake2b(kind.encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return index.folder / f"faiss-{index.settings['vectors']}-{digest}"
