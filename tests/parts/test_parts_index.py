"""An index of parts: what it finds, in which memory it is built, and that it can be continued."""

import json
from pathlib import Path

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.parts import indexing
from darac_tf.parts.index import PartsIndex
from darac_tf.parts.indexing import Request, build_parts_index, held_out, measure_recall
from darac_tf.parts.part_files import Parts, write_part
from darac_tf.parts.part_rows import PartRows
from darac_tf.ranking.exact_search import search
from tests.parts.part_helpers import columns_of, layout_of

faiss = pytest.importorskip("faiss")
DIM, ROWS = 16, 3500
LISTS = "IVF16,SQ8"


@pytest.fixture(scope="module")
def vectors():
    return columns_of(range(ROWS), DIM)["vector"]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    layout = layout_of(ROWS + 1, 500, DIM)
    layout.begin(folder)
    for part in range(len(layout)):
        start, stop = layout.rows_of(part)
        dead = [("gone", "gone.jpg", "is not there")] if stop == ROWS + 1 else []
        write_part(folder, layout, part, columns_of(range(start, min(stop, ROWS)), DIM), dead)
    return Parts.open(folder)


def request(kind=LISTS, memory=None, shards=1, probes=16, candidates=400):
    return Request(memory, kind, shards, probes, candidates)


def test_rows_of_parts_are_those_of_one_array(parts, vectors):
    rows = PartRows(parts)
    assert rows.shape == vectors.shape
    for item in (slice(0, 3), slice(480, 2100), slice(3400, 9999), slice(7, 7), slice(500, 1000)):
        np.testing.assert_array_equal(rows[item], vectors[item])
    chosen = np.array([3, 700, 3, 3499])
    np.testing.assert_array_equal(rows[chosen], vectors[chosen])


@pytest.mark.parametrize("kind", [None, LISTS, "Flat"])
@pytest.mark.parametrize("shards", [1, 3])
def test_it_finds_what_an_exact_search_does(parts, vectors, tmp_path, kind, shards):
    queries = np.random.default_rng(1).standard_normal((5, DIM)).astype(np.float32)
    build_parts_index(parts, tmp_path, request(kind, shards=shards))
    index = PartsIndex(tmp_path)
    exact_rows, exact_scores = search(queries, vectors, 12)
    for (rows, scores), own_rows, own_scores in zip(
        index.find(queries, 12), exact_rows, exact_scores, strict=True
    ):
        np.testing.assert_array_equal(rows, own_rows)
        np.testing.assert_array_equal(scores, own_scores)
    assert index.ids(np.array([3499, 0, 500])) == ["image 3499", "image 0", "image 500"]


def test_shards_of_a_graph_find_most(parts, tmp_path):
    build_parts_index(parts, tmp_path, request("HNSW8", shards=3))
    assert measure_recall(tmp_path, 40).recall > 0.8
    assert PartsIndex(tmp_path).how == "Approximate search (HNSW8)"


def test_pieces_are_merged_to_what_one_piece_is(parts, tmp_path, monkeypatch):
    build_parts_index(parts, tmp_path / "whole", request())
    monkeypatch.setattr("darac_tf.ranking.index_plan._PIECE_ROWS", 900)
    build_parts_index(parts, tmp_path / "pieces", request())
    assert json.loads((tmp_path / "pieces" / "plan.json").read_text())["plan"]["piece_rows"] == 900
    one, other = (PartsIndex(tmp_path / name) for name in ("whole", "pieces"))
    queries = np.random.default_rng(1).standard_normal((5, DIM)).astype(np.float32)
    for found, same in zip(one.find(queries, 50), other.find(queries, 50), strict=True):
        np.testing.assert_array_equal(found[0], same[0])
    names = sorted(path.name for path in (tmp_path / "pieces").glob("*.faiss"))
    assert names == ["shard-000.faiss", "trained.faiss"]


def test_what_was_begun_is_continued(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("darac_tf.ranking.index_plan._PIECE_ROWS", 900)
    filled, made = indexing._Builder._filled, []

    def interrupted(builder, start, stop):
        made.append(start)
        if len(made) == 3:
            raise KeyboardInterrupt
        return filled(builder, start, stop)

    monkeypatch.setattr(indexing._Builder, "_filled", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_parts_index(parts, tmp_path, request())
    with pytest.raises(UserError, match="is missing or damaged: darac index --parts makes it"):
        PartsIndex(tmp_path)
    build_parts_index(parts, tmp_path, request())
    assert made == [0, 900, 1800, 1800, 2700]
    # All is there: nothing is made again; what only searches look at may change.
    build_parts_index(parts, tmp_path, request(probes=3, candidates=20))
    assert len(made) == 5 and PartsIndex(tmp_path).settings["probes"] == 3
    with pytest.raises(UserError, match=r"begun with another kind \(IVF16,SQ8, and this is HNSW"):
        build_parts_index(parts, tmp_path, request("HNSW16"))


def test_recall_by_a_loop(parts, vectors, tmp_path):
    build_parts_index(parts, tmp_path, request(probes=1, candidates=11))
    measured = measure_recall(tmp_path, 40)
    index, shared = PartsIndex(tmp_path), 0
    assert measured.queries == 40 and measured.seconds > 0
    for row in held_out(ROWS)[:40]:
        scores = vectors.astype(np.float64) @ vectors[row]
        scores[row] = -np.inf
        best = set(np.argsort(-scores)[:10].tolist())
        ((rows, _),) = index.find(vectors[row : row + 1], 11)
        shared += len(best & set([each for each in rows.tolist() if each != row][:10]))
    assert measured.recall == pytest.approx(shared / 400)
    assert 0.1 < measured.recall < 0.95


def test_training_never_sees_the_queries(parts, vectors, monkeypatch, tmp_path):
    seen = []

    class Recording(PartRows):
        def __getitem__(self, item):
            if not isinstance(item, slice):
                seen.extend(item)
            return super().__getitem__(item)

    monkeypatch.setattr(indexing, "PartRows", Recording)
    build_parts_index(parts, tmp_path, request())
    assert len(seen) == ROWS - len(held_out(ROWS)) and not set(seen) & set(held_out(ROWS))


def status_bytes(name):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["OPQ4_16,IVF64,PQ4", LISTS, "HNSW32"])
def test_memory_stays_within_what_was_asked_for(kind, tmp_path):
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is read from /proc")
    layout = layout_of(20_000, 4000, 64)
    layout.begin(tmp_path / "parts")
    for part in range(len(layout)):
        columns = columns_of(range(4000), 64, seed=part)
        write_part(tmp_path / "parts", layout, part, columns)
    parts = Parts.open(tmp_path / "parts")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM
    asked = status_bytes("VmRSS") + (64 << 20)
    plan = build_parts_index(parts, tmp_path / "index", request(kind, asked))
    measure_recall(tmp_path / "index", 50, plan.block_rows)
    assert plan.peak_bytes <= 64 << 20
    assert status_bytes("VmHWM") <= asked


def test_what_does_not_fit_is_refused_before_anything_is_written(parts, tmp_path):
    for kind, memory in (("HNSW32", 1000), (LISTS, status_bytes("VmRSS") + 1000)):
        with pytest.raises(UserError, match=r"takes .* to build, and .* may be used"):
            build_parts_index(parts, tmp_path / "index", request(kind, memory))
    assert not (tmp_path / "index").exists()


def test_other_parts_and_damaged_shards_are_refused(parts, tmp_path):
    build_parts_index(parts, tmp_path, request("Flat"))
    settings = json.loads((tmp_path / "parts_index.json").read_text())
    changed = {**settings, "model": "another"}
    (tmp_path / "parts_index.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match="is not as it was when"):
        PartsIndex(tmp_path)
    (tmp_path / "parts_index.json").write_text(json.dumps(settings))
    (tmp_path / "shard-000.faiss").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"shard-000.faiss is missing or damaged: remove it"):
        PartsIndex(tmp_path)
    assert PartsIndex(tmp_path, exact=True).how == "Exact search"
    with pytest.raises(UserError, match="--shards=9: 8 parts give fewer"):
        build_parts_index(parts, tmp_path / "other", request(shards=9))
