"""Manifests: read by rows, of both kinds; written from folders, tar files and stores."""

import io
import tarfile

import pyarrow
import pyarrow.parquet
import pytest

from darac_tf.commands.main import main
from darac_tf.errors import UserError
from darac_tf.parts.fetching import Fetcher, store_of
from darac_tf.parts.manifest import Manifest, list_images, write_manifest


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_are_read_in_the_users_order(tmp_path, suffix, monkeypatch):
    rows = [(f"00{n * 7 % 10}", f'odd, "name"\n{n}.jpg') for n in range(10)] + [("NA", "null")]
    path = tmp_path / f"M{suffix}"
    monkeypatch.setattr("darac_tf.parts.manifest._GROUP_ROWS", 4)
    assert write_manifest(path, iter(rows)) == 11
    manifest = Manifest(path)
    manifest.check()
    for start, stop in ((0, 11), (3, 5), (3, 9), (4, 8), (10, 11)):
        assert manifest.rows(start, stop) == rows[start:stop]
    assert manifest.fingerprint == Manifest(path).fingerprint
    write_manifest(path, rows[::-1])
    assert manifest.fingerprint != Manifest(path).fingerprint


def test_what_is_no_manifest_is_refused(tmp_path):
    def fault(text, name="M.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as caught:
            Manifest(path).check()
        return str(caught.value).replace(str(path), "M")

    twice = "id,uri\na,1.jpg\nb,2.jpg\na,3.jpg\nb,4.jpg\n"
    assert fault(twice).startswith("M: the id 'a' is in rows 1 and 3, and 1 more rows repeat ids:")
    assert fault("id,uri\na,1\n,2\n") == "M: row 2 has no id or no uri"
    assert fault("id,path\na,1\n").startswith("--manifest: M has no column 'uri' (it has id, path)")
    assert fault("id,uri\n").endswith("M lists no images")
    assert "can't read M: " in fault("id,uri\na,1,2\n")
    assert "can't read M: " in fault("id,uri", "M.parquet")
    with pytest.raises(UserError, match=r"can't read nowhere.csv: No such file"):
        Manifest("nowhere.csv")
    numbers = pyarrow.table({"id": [7, 8], "uri": ["a", "b"]})
    pyarrow.parquet.write_table(numbers, tmp_path / "N.parquet")
    assert Manifest(tmp_path / "N.parquet").rows(0, 2) == [("7", "a"), ("8", "b")]


def add_members(archive, members):
    for name, content in members.items():
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


def test_folders_tar_files_and_stores(tmp_path, capsys):
    photos, shard = tmp_path / "photos", tmp_path / "shard-0.tar"
    (photos / "sub").mkdir(parents=True)
    for name in ("b.jpg", "sub/a.PNG", "note.txt"):
        (photos / name).write_bytes(name.encode())
    members = {"0001.jpg": b"one", "0001.json": b"{}", "d/0002.png": b"two" * 400}
    with tarfile.open(shard, "w") as archive:
        add_members(archive, members)
    store, _ = store_of("memory://shop")
    store.pipe("/shop/x/c.jpg", b"c")
    store.pipe("/shop/x/shard-1.tar", shard.read_bytes())
    places = [str(photos), str(shard), "memory://shop/x"]
    out = tmp_path / "M.parquet"
    assert main(["manifest", *places, f"--out={out}"]) == 0
    assert capsys.readouterr().out == f"{out}: 7 images\n"
    manifest, fetch = Manifest(out), Fetcher(tmp_path)
    found = {name: fetch(uri) for name, uri in manifest.rows(0, 7)}
    assert found == {
        "photos/b.jpg": b"b.jpg",
        "photos/sub/a.PNG": b"sub/a.PNG",
        "shard-0.tar/0001.jpg": b"one",
        "shard-0.tar/d/0002.png": b"two" * 400,
        "x/c.jpg": b"c",
        "shard-1.tar/0001.jpg": b"one",
        "shard-1.tar/d/0002.png": b"two" * 400,
    }
    assert [name for name, _ in list_images(str(photos))] == ["b.jpg", "sub/a.PNG"]
    assert [name for name, _ in list_images("memory://shop/x/*.jpg")] == ["c.jpg"]
    for words, fault in (
        ([str(photos), str(photos)], "the id 'photos/b.jpg' is in rows 1 and 3"),
        (["memory://shop/nothing"], "lists no images"),
    ):
        assert main(["manifest", *words, f"--out={tmp_path / 'N.csv'}"]) == 1
        assert fault in capsys.readouterr().err
    assert not (tmp_path / "N.csv").exists()
    shard.write_bytes(shard.read_bytes()[:700] + b"x" * 2000)
    assert main(["manifest", str(shard), f"--out={tmp_path / 'N.csv'}"]) == 1
    assert "can't be read as a tar file" in capsys.readouterr().err
    assert main(["manifest", str(photos), "--out=N.txt"]) == 1
