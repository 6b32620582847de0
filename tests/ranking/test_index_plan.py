"""What a faiss index takes, by arithmetic, and which one fits into a memory."""

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.ranking.approximate_search import build_index
from darac_tf.ranking.index_plan import plan_index

faiss = pytest.importorskip("faiss")
GIB = 1 << 30


def test_a_graph_where_it_fits_and_codes_below_it():
    graph = plan_index(faiss, 10**6, 2048, 9 * GIB)
    # 4 bytes a number, 65 links of 4 bytes, and less than 1 % beside them.
    assert graph.kind == "HNSW32"
    assert graph.index_bytes == pytest.approx(10**6 * (4 * 2048 + 4 * 65), rel=0.01)
    for memory in (8 * GIB, 2 * GIB, 256 << 20):
        plan = plan_index(faiss, 10**6, 2048, memory)
        assert plan.kind.startswith("OPQ") and plan.peak_bytes <= memory
    many = plan_index(faiss, 10**8, 2048, 8 * GIB)
    assert many.kind == "OPQ64_256,IVF16384_HNSW32,PQ64"
    assert many.index_bytes == pytest.approx(10**8 * (64 + 8), rel=0.02)
    assert plan_index(faiss, 10**8, 2048, 2 * GIB).kind.endswith("PQ8")
    # A shard holds its share of the rows.
    assert plan_index(faiss, 10**8, 2048, 2 * GIB, shards=8).kind.endswith("PQ64")


@pytest.mark.parametrize("memory", [16 << 20, 64 << 20, 1 * GIB, 64 * GIB])
@pytest.mark.parametrize("rows", [10**4, 10**6, 10**8])
@pytest.mark.parametrize("dim", [16, 128, 2048])
def test_a_plan_keeps_within_its_memory_and_trains_enough(memory, rows, dim):
    try:
        plan = plan_index(faiss, rows, dim, memory)
    except UserError as error:
        assert memory <= GIB and str(error).endswith("give more --memory")
        return
    assert plan.index_bytes < plan.peak_bytes <= memory
    assert plan.block_rows >= 1 and 1 <= plan.piece_rows <= rows
    assert plan.training_rows >= 39 * plan.lists
    assert plan.training_rows <= rows


def test_a_graph_that_does_not_fit_is_refused_before_it_is_built():
    class Unread:
        shape = (10**6, 2048)

    with pytest.raises(UserError, match=r"HNSW32 of 1000000 x 2048 takes 8\.\d+ GiB .* 4 GiB may"):
        build_index(faiss, Unread(), "HNSW32", 4 * GIB)


@pytest.mark.parametrize("kind", ["Flat", "HNSW8", "IVF4,SQ8", "SQ8"])
def test_bytes_of_a_row_are_those_of_the_file(kind):
    vectors = np.random.default_rng(0).standard_normal((3000, 32), np.float32)
    built, _ = build_index(faiss, vectors, kind)
    size = len(faiss.serialize_index(built))
    planned = plan_index(faiss, 3000, 32, GIB, kind).index_bytes
    # A file has no locks, no marks of visited rows, and codebooks only for product codes.
    assert size * 0.95 <= planned <= size * 1.2 + 2048 * 32
