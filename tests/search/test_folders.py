"""Names of files, several folders in one index, and folders that are gone."""

import os
import shutil

import pytest

from darac_tf.errors import UserError
from darac_tf.search import forget, writing
from tests.search.collection import assert_same, entries, expected, run, write_file


def test_names_of_all_kinds(photos, index):
    names = [b"sp ace.jpg", "ünï 写真.jpg".encode(), b"caf\xe9.jpg", b"new\nline.jpg", b"'%_.jpg"]
    for number, name in enumerate(names):
        write_file(photos / os.fsdecode(name), str(number).encode())
    run(index, photos)
    assert_same(entries(index), expected(photos))
    assert run(index, photos)[1] == []
    (photos / os.fsdecode(names[2])).unlink()
    assert run(index, photos)[0].removed == 1


def test_other_folders_stay(photos, index, tmp_path):
    write_file(tmp_path / "photos0" / "k.jpg", b"k")
    write_file(tmp_path / "photos-more" / "l.jpg", b"l")
    run(index, photos, tmp_path / "photos0", tmp_path / "photos-more")
    (tmp_path / "photos0" / "k.jpg").unlink()
    (photos / "d.PNG").unlink()
    assert run(index, photos)[0].removed == 1
    assert str(tmp_path / "photos0" / "k.jpg") in entries(index)
    # A folder within a known one touches nothing beside it.
    (photos / "sub" / "a.jpg").unlink()
    assert run(index, photos / "sub")[0].removed == 1
    assert len(entries(index)) == 4
    with writing(index) as opened:
        assert forget(opened, [photos]) == 2
    assert sorted(map(os.path.basename, entries(index))) == ["k.jpg", "l.jpg"]


def test_an_emptied_folder_does_not_empty_the_index(photos, index, tmp_path):
    run(index, photos)
    shutil.rmtree(photos)
    with pytest.raises(UserError, match=r"no such folder: .*photos$"):
        run(index, photos)
    photos.mkdir()
    with pytest.raises(UserError, match=r"holds no image .*`forget .*` drops the 4 that the index"):
        run(index, photos)
    assert len(entries(index)) == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no image \(\.jpg, .*\)$"):
        run(tmp_path / "index2", tmp_path / "empty")
