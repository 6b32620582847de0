"""Approximate search with faiss, for databases where an exact search takes too long."""

import os

import numpy as np

from darac_tf.errors import UserError
from darac_tf.memory import free_bytes, release
from darac_tf.ranking.index_plan import lists_of, make_empty, plan_index, transforms_of
from darac_tf.rows import check_dimensions, finite_rows

# Of a rotation, of the codes before it and in each of its rounds: faiss's 50, 40 and 4 take twenty
# times as long.
_ROTATION_ROUNDS = 10, 10, 1


def approximate_search(queries, database, top_k, index="HNSW32"):
    """Ranks the database for each query by dot product, with an index that may miss rows.

    Faiss (Johnson, Douze and Jégou, IEEE Big Data 2021; HNSW: Malkov and Yashunin, PAMI 2020)
    has many kinds of index, described by a text: `HNSW32` (a graph), `IVF1024,Flat` (clusters),
    `IVF1024,PQ64` (clusters, compressed rows), `Flat` (exact). Report the share of the exact
    ranks that it found: `recall_against_exact`. The index lies in memory, with a copy of the rows
    unless they are compressed. A kind that has to be trained is trained on the database, on a
    sample of it where it is large.

    Args:
        queries: `(Q, D)` float descriptors.
        database: `(N, D)` float descriptors, array or memmap.
        top_k: Ranks to return, at least 1; more than there are rows gives all.
        index: Text for `faiss.index_factory`.

    Returns:
        Tuple of `(Q, k)` int64 database rows, best first, and `(Q, k)` float32 scores. Where the
        index found fewer than k, the places at the end hold row -1 and score -inf.

    Raises:
        UserError: If faiss is not installed, it does not know the index, the database is too small
            for it or empty, the index does not fit into the memory that is free, or descriptors
            hold NaN or infinity or differ in their dimension.
    """
    faiss = load_faiss()
    if np.ndim(queries) != 2 or len(database.shape) != 2 or top_k < 1:
        received = f"{np.shape(queries)}, {database.shape} and {top_k}"
        raise ValueError(f"queries, database (rows, dim) and top_k are wrong. Received: {received}")
    check_dimensions(queries, database)
    if not len(database):
        raise UserError("the database holds no image to rank: add images")
    queries = finite_rows(queries, "query descriptors").astype(np.float32)
    built, _ = build_index(faiss, database, index)
    k = int(min(top_k, database.shape[0]))  # faiss refuses NumPy integers
    scores, rows = built.search(queries, k)
    # faiss fills places that it has no row for with the smallest float.
    return rows, np.where(rows < 0, np.float32(-np.inf), scores)


def recall_against_exact(approx_rows, exact_rows):
    """Share of the exact first k rows that an approximate search found among its first k: float.

    `recall = mean_q |approx_q ∩ exact_q| / k`, in [0, 1]. The order within the k does not count.

    >>> recall_against_exact([[4, 2, 9]], [[2, 4, 7]])
    0.6666666666666666

    Both are `(Q, k)` rows, -1 for none found; those from `search` differ within a query.
    `ValueError` if the shapes differ or are empty.
    """
    approx_rows, exact_rows = np.asarray(approx_rows), np.asarray(exact_rows)
    if approx_rows.shape != exact_rows.shape or exact_rows.ndim != 2 or not exact_rows.size:
        raise ValueError(
            f"Both need the same shape (Q, k). Received: {approx_rows.shape}, {exact_rows.shape}"
        )
    found = [np.isin(*both).mean() for both in zip(exact_rows, approx_rows, strict=True)]
    return float(np.mean(found))


def load_faiss():
    """The module `faiss`; UserError if it is not installed."""
    # Its threads would spin while they wait for each other: where others use the cores as well,
    # training takes twice as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import faiss
    except ImportError as error:
        raise UserError("approximate search needs faiss: pip install faiss-cpu") from error
    return faiss


def build_index(faiss, database, kind, memory=None):
    """A faiss index of all rows of a database, in memory.

    Args:
        faiss: The module.
        database: As above.
        kind: Text for `faiss.index_factory`, or "auto": see `index_plan.plan_index`.
        memory: Bytes that building may take; None for what the machine has free.

    Returns:
        Tuple of the index and its kind.

    Raises:
        UserError: Before anything is built, if it would take more memory; else as above.
    """
    memory = free_bytes() if memory is None else memory
    plan = plan_index(faiss, *database.shape, memory, kind, merged=False)
    built = train_index(faiss, database, plan)
    reserve(faiss, built, database.shape[0])
    add_rows(built, database, 0, database.shape[0], plan.block_rows)
    return built, plan.kind


def train_index(faiss, database, plan, held_out=()):
    """An empty index by an `IndexPlan`, trained where its kind has to be.

    A rotation is trained first, on fewer vectors; the others are rotated as they are read. Rows of
    `held_out` are not among them.
    """
    n_rows, dim = database.shape
    built = make_empty(faiss, dim, plan.kind)
    if built.is_trained:
        return built
    try:
        chain, inner = transforms_of(faiss, built)
        for place, transform in enumerate(chain):
            if not transform.is_trained:
                if isinstance(transform, faiss.OPQMatrix):
                    transform.niter, transform.niter_pq_0, transform.niter_pq = _ROTATION_ROUNDS
                rows = _spread(n_rows, plan.rotation_rows, held_out)
                transform.train(_sample(database, rows, plan.block_rows, chain[:place]))
        rows = _spread(n_rows, plan.training_rows, held_out)
        inner.train(_sample(database, rows, plan.block_rows, chain))
        built.is_trained = True
    except RuntimeError as error:
        raise UserError(
            f"{n_rows} images are too few to train the faiss index {plan.kind!r}: use fewer "
            "clusters, or HNSW32, which needs no training"
        ) from error
    return built


def set_probes(faiss, index, probes):
    """Has searches look through so many lists, where an index has lists; faiss takes one."""
    if (lists := lists_of(faiss, index)) is not None:
        lists.nprobe = min(probes, lists.nlist)


def reserve(faiss, built, n_rows):
    """Takes the memory of an empty index for its rows at once: it would grow by doubling."""
    _, inner = transforms_of(faiss, built)
    storage = faiss.downcast_index(inner.storage) if isinstance(inner, faiss.IndexHNSW) else inner
    grows = []
    if isinstance(storage, faiss.IndexFlatCodes):
        grows.append((storage.codes, n_rows * storage.code_size))
    if storage is not inner:
        hnsw = inner.hnsw
        width = hnsw.nb_neighbors(0) + hnsw.nb_neighbors(1) / (hnsw.nb_neighbors(1) - 1)
        # Levels are drawn: this is more than four standard deviations above their mean.
        grows.append((hnsw.neighbors, int(n_rows * width + 5 * n_rows**0.5 * hnsw.nb_neighbors(1))))
    for vector, size in grows:
        vector.resize(size)
        vector.resize(0)  # What was taken is kept.


def add_rows(built, database, start, stop, block_rows):
    """Adds rows of a database to an index; `UserError` if one holds NaN or infinity."""
    for first in range(start, stop, block_rows):
        last = min(first + block_rows, stop)
        block = np.ascontiguousarray(database[first:last], np.float32)
        _check_finite(block, np.arange(first, last))
        built.add(block)
        release(database, first, last)


def merge_lists(faiss, trained, pieces):
    """Adds the lists of pieces to an empty index of the same training, in their order.

    Lists are made in their final size, so that memory is that of the result and of one piece.

    Args:
        faiss: The module.
        trained: The empty index.
        pieces: Function that yields the indexes, called twice.
    """
    lists = lists_of(faiss, trained)
    n_lists = lists.nlist
    sizes, total = np.zeros(n_lists, np.int64), 0
    for piece in pieces():
        own = lists_of(faiss, piece).invlists
        sizes += [own.list_size(i) for i in range(n_lists)]
    merged = faiss.ArrayInvertedLists(n_lists, lists.code_size)
    for number, size in enumerate(sizes.tolist()):
        merged.resize(number, size)
    filled = np.zeros(n_lists, np.int64)
    for piece in pieces():
        own = lists_of(faiss, piece).invlists
        for number in range(n_lists):
            size = own.list_size(number)
            if size:
                ids = faiss.rev_swig_ptr(own.get_ids(number), size) + total
                place = int(filled[number])
                codes = own.get_codes(number)
                merged.update_entries(number, place, size, faiss.swig_ptr(ids), codes)
                filled[number] += size
        total += piece.ntotal
    lists.replace_invlists(merged, True)
    merged.this.disown()
    trained.ntotal = lists.ntotal = total


def open_index(faiss, path):
    """Reads an index that `faiss.write_index` wrote, memory-mapped where faiss can do so."""
    return faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", 0))


def _spread(n_rows, count, held_out):
    """Evenly spread rows, so that a database sorted by place or class is seen as a whole."""
    rows = np.unique(np.linspace(0, n_rows - 1, min(n_rows, count)).astype(np.int64))
    return np.setdiff1d(rows, held_out, assume_unique=True)


def _sample(database, rows, block_rows, chain):
    """Chosen rows, after some transforms, float32."""
    dim = chain[-1].d_out if chain else database.shape[1]
    found = np.empty((len(rows), dim), np.float32)
    for start in range(0, len(rows), block_rows):
        own = rows[start : start + block_rows]
        block = np.ascontiguousarray(database[own], np.float32)
        _check_finite(block, own)
        release(database, own[0], own[-1] + 1)
        for transform in chain:
            block = transform.apply(block)
        found[start : start + block_rows] = block
    return found


def _check_finite(block, rows):
    for place in np.flatnonzero(~np.isfinite(block).all(axis=1))[:1]:
        finite_rows(block[place : place + 1], "database descriptors", int(rows[place]))
