"""Building an index of parts within a memory, piece by piece, and measuring what it finds.

Lists are trained on a sample, filled piece by piece, and merged into shards; a graph is made shard
by shard. What was begun is continued: pieces and shards are written whole, and those that are there
are not made again.
"""

import itertools
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darac_tf.choices import AUTOMATIC_FAISS, AUTOMATIC_FAISS_IMAGES, PARTS_INDEX_FILE
from darac_tf.errors import UserError
from darac_tf.files import atomic_path, only_writer
from darac_tf.memory import free_bytes, readable_bytes
from darac_tf.parts.index import (
    PartsIndex,
    read_settings,
    shard_bounds,
    shard_path,
    write_settings,
)
from darac_tf.parts.part_rows import PartRows
from darac_tf.ranking.approximate_search import (
    add_rows,
    load_faiss,
    merge_lists,
    open_index,
    recall_against_exact,
    reserve,
    train_index,
)
from darac_tf.ranking.exact_search import search
from darac_tf.ranking.index_plan import IndexPlan, plan_index

# Rows that the training of an index never sees; recall is measured with the first of them.
HELD_OUT = 1000
RANKS = 10
_PLAN, _TRAINED, _LOCK = "plan.json", "trained.faiss", "lock"


class Request(NamedTuple):
    """What is asked for of an index; the first three can't be changed once it was begun."""

    memory: int | None  # Bytes that the process may hold; None for what the machine has free.
    kind: str | None  # Text for `faiss.index_factory`, "auto", or None for exact search.
    shards: int  # Indexes that are searched side by side.
    probes: int  # Lists that a search looks through.
    candidates: int  # Rows that are scored exactly.


class Recall(NamedTuple):
    """What an index finds of the exact search."""

    recall: float  # Share of the first 10, in [0, 1].
    queries: int
    seconds: float  # A query, the mean.


def build_parts_index(parts, folder, request, model_folder=None):
    """Builds an index, or what is missing of it.

    Args:
        parts: `Parts`.
        folder: Where it goes: empty, new, or one that was begun with the same parts and request.
        request: `Request`.
        model_folder: Where the model of the parts is, for queries; None keeps what is known.

    Returns:
        `IndexPlan`, or None for an exact search.

    Raises:
        UserError: If it does not fit into the memory, faiss is needed and missing, the folder holds
            something else, or a vector holds NaN or infinity.
    """
    folder = Path(folder)
    if not parts.rows:
        raise UserError(f"{parts.folder} holds no vectors: describe images first")
    kind = request.kind
    if kind == AUTOMATIC_FAISS and parts.rows <= AUTOMATIC_FAISS_IMAGES:
        kind = None
    asked = {"memory": request.memory, "kind": request.kind, "shards": request.shards}
    asked |= {"parts": str(parts.folder.absolute()), "model": parts.model, "rows": parts.rows}
    plan = _stored_plan(folder, asked)
    if kind is not None:
        faiss, rows = load_faiss(), PartRows(parts)
        bounds = shard_bounds(parts, request.shards)
        largest = int(np.diff(bounds).max())
        memory = free_bytes(request.memory)
        total = largest * request.shards
        plan = plan or plan_index(faiss, total, parts.dim, memory, kind, request.shards)
        # With a limit of its own it is what it was when this was begun.
        if request.memory is None and plan.peak_bytes > memory:
            needed, given = map(readable_bytes, (plan.peak_bytes, memory))
            raise UserError(f"{folder} takes {needed} more, and {given} may be used: free memory")
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder / _LOCK):
        _begin(folder, asked, plan)
        if kind is not None:
            _Builder(faiss, rows, folder, plan).build(bounds)
        if model_folder is None and (folder / PARTS_INDEX_FILE).exists():
            model_folder = read_settings(folder)["model_folder"]
        settings = {name: asked[name] for name in ("parts", "model", "rows", "shards")}
        settings |= {"kind": plan and plan.kind, "model_folder": model_folder}
        settings |= {"probes": request.probes, "candidates": request.candidates}
        write_settings(folder, settings)
    return plan


def measure_recall(folder, queries, block_rows=1024):
    """Compares with an exact search, for queries that the training has not seen.

    Args:
        folder: Of the index.
        queries: How many, at least 1; `HELD_OUT` at most.
        block_rows: Vectors that are read at once.

    Returns:
        `Recall`. A query is not counted among what it finds.
    """
    index = PartsIndex(folder)
    rows = held_out(index.parts.rows)[:queries]
    database = PartRows(index.parts)
    vectors = database[rows]
    k = min(RANKS, index.parts.rows - 1)
    exact, _ = search(vectors, database, k, block_rows, exclude=rows)
    started = time.perf_counter()
    found = index.find(vectors, k + 1)
    seconds = (time.perf_counter() - started) / len(rows)
    own = np.full(exact.shape, -1)
    for place, (row, (each, _)) in enumerate(zip(rows, found, strict=True)):
        others = each[each != row][:k]
        own[place, : len(others)] = others
    return Recall(recall_against_exact(own, exact), len(rows), seconds)


def held_out(rows):
    """Rows that no index is trained on, in a random order, the same for as many rows."""
    count = min(HELD_OUT, max(1, rows // 10))
    return np.random.default_rng(0).choice(rows, count, replace=False)


def _stored_plan(folder, asked):
    """The plan that a folder was begun with; `UserError` if it was asked for something else."""
    path = folder / _PLAN
    if not path.exists():
        others = sorted(each.name for each in folder.glob("*") if each.name != _LOCK)
        if others:
            raise UserError(
                f"--index: {folder} holds other files, such as {others[0]!r}: name a new folder"
            )
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        before = stored["asked"]
        plan = stored["plan"] and IndexPlan(**stored["plan"])
        changed = [name for name in asked if before[name] != asked[name]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"--index: {path} is damaged: remove {folder}") from error
    if changed:
        name = changed[0]
        raise UserError(
            f"--index: {folder} was begun with another {name} ({before[name]}, and this is "
            f"{asked[name]}): give the same, or name a new folder"
        )
    return plan


def _begin(folder, asked, plan):
    for path in folder.glob(".*.faiss"):  # What an interrupted `atomic_path` leaves.
        path.unlink()
    with atomic_path(folder / _PLAN) as path:
        stored = {"asked": asked, "plan": plan and vars(plan)}
        path.write_text(json.dumps(stored, indent=1), encoding="utf-8")


class _Builder:
    def __init__(self, faiss, rows, folder, plan):
        self._faiss, self._rows, self._folder, self._plan = faiss, rows, folder, plan

    def build(self, bounds):
        """Makes the shards that are missing; `bounds` as of `shard_bounds`."""
        for shard, (start, stop) in enumerate(itertools.pairwise(bounds)):
            path = shard_path(self._folder, shard)
            if path.exists():
                continue
            pieces = range(int(start), int(stop), self._plan.piece_rows)
            if len(pieces) == 1:
                self._write(path, self._filled, start, stop)
                continue
            paths = [self._folder / f"piece-{shard:03d}-{first:010d}.faiss" for first in pieces]
            for first, piece in zip(pieces, paths, strict=True):
                last = min(first + self._plan.piece_rows, stop)
                if not piece.exists():
                    self._write(piece, self._filled, first, last)
            self._write(path, self._merged, paths)
            for piece in paths:
                piece.unlink()

    def _filled(self, start, stop):
        index = self._trained()
        reserve(self._faiss, index, int(stop - start))
        add_rows(index, self._rows, int(start), int(stop), self._plan.block_rows)
        return index

    def _merged(self, paths):
        trained = self._trained()
        merge_lists(self._faiss, trained, lambda: (open_index(self._faiss, p) for p in paths))
        return trained

    def _trained(self):
        """An empty index, trained once for all shards and pieces."""
        path = self._folder / _TRAINED
        if not path.exists():
            unseen = held_out(self._rows.shape[0])
            self._write(path, train_index, self._faiss, self._rows, self._plan, unseen)
        return self._faiss.read_index(str(path))

    def _write(self, path, make, *arguments):
        started = time.perf_counter()
        made = make(*arguments)
        with atomic_path(path) as temporary:
            self._faiss.write_index(made, str(temporary))
        seconds = time.perf_counter() - started
        print(f"{path.name}: {made.ntotal} vectors, {seconds:.1f} s", file=sys.stderr)
