"""Approximate search: what it finds, scores, and when a kept faiss index is used."""

import sys

import pytest

from darac_tf.choices import AUTOMATIC_FAISS_IMAGES
from darac_tf.errors import UserError
from darac_tf.search import Index, Query, faiss_index, find_similar, writing
from tests.search.collection import run, write_file
from tests.search.small_model import StandIn


def search(index, *queries, **options):
    with Index(index) as opened:
        return find_similar(opened, StandIn(), list(queries), **options)


@pytest.fixture
def stand_in_index(tmp_path):
    for number in range(200):
        write_file(tmp_path / "photos" / f"{number:03d}.jpg", f"content {number}".encode())
    run(tmp_path / "index", tmp_path / "photos")
    return tmp_path / "index"


def approximate(index, kind):
    with writing(index) as opened:
        faiss_index.make_faiss_index(opened, kind)
    with Index(index) as opened:
        return faiss_index.load_faiss_index(opened, kind)


def test_approximate_search_that_misses_nothing_is_the_exact_one(stand_in_index, tmp_path):
    pytest.importorskip("faiss")
    query = Query(str(write_file(tmp_path / "query.jpg", b"a query")))
    # Files that come and go after the faiss index was made.
    approximate(stand_in_index, "Flat")
    exact = search(stand_in_index, query, top_k=30)
    for item in exact[0][:6]:
        (tmp_path / "photos" / item.path.split("/")[-1]).unlink()
    write_file(tmp_path / "photos" / "late.jpg", b"a query")
    run(stand_in_index, tmp_path / "photos")
    with Index(stand_in_index) as opened:
        loaded = faiss_index.load_faiss_index(opened, "Flat")
    assert len(loaded.rows) == 200
    exact = search(stand_in_index, query, top_k=30)
    assert exact[0][0].path.endswith("late.jpg")
    assert search(stand_in_index, query, top_k=30, faiss_index=loaded) == exact
    everything = search(stand_in_index, query, top_k=900)
    assert len(everything[0]) == 195
    assert search(stand_in_index, query, top_k=900, faiss_index=loaded) == everything


def test_a_graph_finds_most(stand_in_index, tmp_path):
    pytest.importorskip("faiss")
    loaded = approximate(stand_in_index, "HNSW32")
    queries = [
        Query(str(write_file(tmp_path / f"query {number}.jpg", f"query {number}".encode())))
        for number in range(10)
    ]
    exact = search(stand_in_index, *queries, top_k=10)
    found = search(stand_in_index, *queries, top_k=10, faiss_index=loaded)
    shared = sum(
        len({i.path for i in a} & {i.path for i in b}) for a, b in zip(exact, found, strict=True)
    )
    assert shared >= 90
    # Scores are exact ones.
    everything = search(stand_in_index, *queries, top_k=200)
    for ranked, all_ranked in zip(found, everything, strict=True):
        similarities = {item.path: item.similarity for item in all_ranked}
        assert all(item.similarity == similarities[item.path] for item in ranked)


def test_a_faiss_index_that_no_longer_fits_is_not_used(stand_in_index, tmp_path):
    pytest.importorskip("faiss")
    approximate(stand_in_index, "Flat")
    for number in range(21):
        write_file(tmp_path / "photos" / f"late {number}.jpg", f"late {number}".encode())
    run(stand_in_index, tmp_path / "photos")
    with Index(stand_in_index) as opened:
        assert faiss_index.load_faiss_index(opened, "Flat") is None
        assert faiss_index.load_faiss_index(opened, "HNSW32") is None
    approximate(stand_in_index, "Flat")
    # Compaction numbers the rows anew.
    for number in range(100):
        (tmp_path / "photos" / f"{number:03d}.jpg").unlink()
    run(stand_in_index, tmp_path / "photos")
    with writing(stand_in_index) as opened:
        assert faiss_index.load_faiss_index(opened, "Flat") is None
        assert len(list(stand_in_index.glob("faiss-*"))) == 1
        faiss_index.remove_stale(opened)
        assert not list(stand_in_index.glob("faiss-*"))


def test_a_damaged_faiss_index(stand_in_index):
    pytest.importorskip("faiss")
    approximate(stand_in_index, "Flat")
    (folder,) = stand_in_index.glob("faiss-*")
    (folder / "graph.faiss").write_bytes(b"IxFI damaged")
    with (
        Index(stand_in_index) as opened,
        pytest.raises(UserError, match=r"is damaged: delete it"),
    ):
        faiss_index.load_faiss_index(opened, "Flat")


def test_the_automatic_index_says_its_kind_and_keeps_to_a_memory(stand_in_index):
    pytest.importorskip("faiss")
    assert approximate(stand_in_index, "auto").kind == "HNSW32"
    with writing(stand_in_index) as opened, pytest.raises(UserError, match="give more --memory"):
        faiss_index.make_faiss_index(opened, "HNSW32", memory=1000)


def test_automatic_kind(monkeypatch):
    pytest.importorskip("faiss")
    assert faiss_index.automatic_kind(AUTOMATIC_FAISS_IMAGES) is None
    assert faiss_index.automatic_kind(AUTOMATIC_FAISS_IMAGES + 1) == "auto"
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert faiss_index.automatic_kind(AUTOMATIC_FAISS_IMAGES + 1) is None
