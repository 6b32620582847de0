"""Which faiss index fits into a memory, and what it takes: arithmetic, before anything is built.

A graph (HNSW) holds every vector and 2 M links, so that 10^6 x 2048 are 8.5 GB. Lists (IVF) of
product codes (PQ) hold a few bytes a vector, after a rotation to fewer dimensions (OPQ). Lists are
built in pieces and merged, so that what grows by doubling is a piece and never the whole.

Sources: Malkov and Yashunin, PAMI 2020 (HNSW); Jégou, Douze and Schmid, PAMI 2011 (IVF-PQ); Ge et
al., PAMI 2014 (OPQ); numbers of lists as in the guidelines of faiss.
"""

import math
from dataclasses import dataclass

from darac_tf.choices import AUTOMATIC_FAISS
from darac_tf.errors import UserError
from darac_tf.memory import readable_bytes
from darac_tf.threads import CORES

GRAPH = "HNSW32"
_CODE_BYTES = (64, 32, 16, 8)
# From here on vectors find their list by a graph.
_GRAPH_OF_LISTS = 8192
# faiss asks for 39 training vectors a list at least; more than 256 a list change little.
_LEAST_TRAINING, _MOST_TRAINING, _USUAL_TRAINING = 39, 64, 256 * 1024
_ROTATION_ROWS = 32768
_PIECE_ROWS = 1 << 20
# What allocators, BLAS and Python take beside the arrays.
_SLACK = 24 << 20
# Vectors of an IVF list and its two arrays; the level, place and lock of a row of a graph.
_LIST_BYTES, _NODE_BYTES = 96, 20


@dataclass(frozen=True)
class IndexPlan:
    """How an index is built, and what that takes."""

    kind: str  # Text for `faiss.index_factory`.
    lists: int  # Of an IVF index; 0 where there are none.
    training_rows: int  # Vectors that it is trained on; 0 where it is not.
    rotation_rows: int  # Of these, those that its rotation is trained on.
    piece_rows: int  # Rows that are added before lists are merged; all where they can't be.
    block_rows: int  # Rows that are read at once.
    index_bytes: int  # Of the index in memory.
    peak_bytes: int  # The most memory while it is built.


def plan_index(faiss, rows, dim, memory, kind=AUTOMATIC_FAISS, shards=1, merged=True):
    """Chooses a kind, and the sizes to build it with.

    Args:
        faiss: The module.
        rows: Vectors, at least 1.
        dim: Numbers of each.
        memory: Bytes that building may take beside what the process holds already.
        kind: Text for `faiss.index_factory`; "auto" takes a graph where it fits, else lists of
            codes, as long as fit.
        shards: Indexes that the rows are spread over, built one after another.
        merged: Whether lists are built in pieces; else they grow by doubling.

    Returns:
        `IndexPlan` of one shard.

    Raises:
        UserError: If faiss does not know the kind, or the index does not fit into the memory.
    """
    rows = math.ceil(rows / shards)
    kinds = [kind]
    if kind == AUTOMATIC_FAISS:
        kinds = [GRAPH, *_kinds_of_lists(rows * shards, dim, memory)]
    plans = [_plan(faiss, rows, rows * shards, dim, memory, each, merged) for each in kinds]
    for plan in plans:
        if plan.peak_bytes <= memory:
            return plan
    plan = plans[-1]
    smaller = "" if kind == AUTOMATIC_FAISS else "--faiss_index=auto takes a smaller one, or "
    raise UserError(
        f"a faiss index {plan.kind} of {rows} x {dim} takes {readable_bytes(plan.peak_bytes)} of "
        f"memory to build, and {readable_bytes(max(memory, 0))} may be used: {smaller}give more "
        "--memory"
    )


def make_empty(faiss, dim, kind):
    """An empty index by inner product; `UserError` if faiss does not know the kind."""
    try:
        return faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise UserError(
            f"faiss can't make an index {kind!r} of {dim} dimensions: see its index_factory for "
            "the kinds there are, such as HNSW32 or IVF1024,Flat"
        ) from error


def lists_of(faiss, index):
    """The `IndexIVF` in an index, or None."""
    return faiss.try_extract_index_ivf(index)


def transforms_of(faiss, index):
    """The transforms before an index, a list, and the index behind them."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return [], index
    chain = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
    return chain, faiss.downcast_index(index.index)


def _kinds_of_lists(rows, dim, memory):
    """Kinds with codes, the longest codes first."""
    for code in _CODE_BYTES:
        if 2 * code <= dim:
            rotated = code * min(4, dim // code)
            # A fourth of the memory is for training vectors.
            trained = min(rows, memory / (32 * rotated)) / _LEAST_TRAINING
            lists = 1 << int(math.log2(max(1, min(4 * math.sqrt(rows), trained))))
            graph = "_HNSW32" if lists >= _GRAPH_OF_LISTS else ""
            yield f"OPQ{code}_{rotated},IVF{lists}{graph},PQ{code}"


def _plan(faiss, rows, all_rows, dim, memory, kind, merged):
    index = make_empty(faiss, dim, kind)
    chain, inner = transforms_of(faiss, index)
    lists, inner_dim = lists_of(faiss, index), inner.d
    fixed = sum(12 * t.d_in * t.d_out for t in chain)
    n_lists, training, piece = 0, 0, rows
    if lists is not None:
        n_lists = lists.nlist
        fixed += n_lists * (4 * inner_dim + _LIST_BYTES) + 2048 * inner_dim
        if not isinstance(faiss.downcast_index(lists.quantizer), faiss.IndexFlat):
            fixed += n_lists * _links(32)
        row_bytes = lists.code_size + 8
        # Not what the graph of lists says of itself, which is that nothing is trained.
        training = max(_USUAL_TRAINING, _MOST_TRAINING * n_lists)
    elif isinstance(inner, faiss.IndexHNSW):
        row_bytes = inner.storage.sa_code_size() + _links(inner.hnsw.nb_neighbors(1)) + CORES
    else:
        row_bytes = _code_bytes(inner, dim)
    if not index.is_trained:
        training = training or _USUAL_TRAINING
    # A block as it is read, as float32 and rotated; its codes are small.
    of_row = 12 * dim + 12 * inner_dim
    block = int(min(8192, max(64, memory // 32 // of_row)))
    share = max(memory, 0) // 4
    fitting = max(share // (8 * inner_dim), _LEAST_TRAINING * n_lists)
    training = int(min(training, all_rows, fitting))
    rotation = int(min(_ROTATION_ROWS, training, share // (16 * dim))) if chain else 0
    of_training = max(8 * inner_dim * training, 16 * dim * rotation + 32 * dim * inner_dim)
    size = rows * row_bytes
    growing = size
    if lists is not None:
        if merged:
            piece = int(min(rows, _PIECE_ROWS, max(share // 2 // row_bytes, block)))
        # A list that is full becomes one of twice the size.
        growing = max(2 * piece * row_bytes, merged * (size + piece * row_bytes))
    peak = _SLACK + fixed + max(of_training if training else 0, growing + block * of_row)
    return IndexPlan(kind, n_lists, training, rotation, piece, block, fixed + size, int(peak))


def _links(neighbours):
    """Bytes of a row of a graph, beside its vector: 2 M links below, and M / (M - 1) above."""
    return math.ceil(4 * (2 * neighbours + neighbours / (neighbours - 1))) + _NODE_BYTES


def _code_bytes(index, dim):
    try:
        return index.sa_code_size()
    except RuntimeError:  # A kind that does not say: its vectors, and as much again.
        return 8 * dim
