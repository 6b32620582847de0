import errno
import os
from pathlib import Path

import pytest

from darac_tf.errors import UserError
from darac_tf.files import atomic_path


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_a_file_and_creates_parents(tmp_path):
    target = tmp_path / "a" / "b" / "report.json"
    with atomic_path(target) as temporary:
        assert isinstance(temporary, Path)
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert _names(target.parent) == ["report.json"]


def test_accepts_a_string_and_replaces_a_file(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with atomic_path(str(target)) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["x.txt"]


def test_a_failure_removes_a_half_made_folder(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "model") as temporary:
        (temporary / "variables").mkdir(parents=True)
        (temporary / "variables" / "data").write_text("half")
        raise RuntimeError
    assert _names(tmp_path) == []


@pytest.mark.parametrize("exists", [False, True])
def test_writes_a_folder_that_is_absent_or_empty(tmp_path, exists):
    target = tmp_path / "model"
    if exists:
        target.mkdir()
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("w")
    assert (target / "weights").read_text() == "w"
    assert _names(tmp_path) == ["model"]


def test_refuses_a_folder_with_contents_before_the_block_runs(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("keep")
    with (
        pytest.raises(UserError, match="model is a folder that is not empty"),
        atomic_path(tmp_path / "model"),
    ):
        pytest.fail("the block ran")
    assert (tmp_path / "model" / "mine").read_text() == "keep"


def test_refuses_a_folder_that_was_filled_meanwhile(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(UserError, match=r"can't write .*model"), atomic_path(target) as temporary:
        temporary.mkdir()
        target.mkdir()
        (target / "theirs").write_text("keep")
    assert (target / "theirs").read_text() == "keep"
    assert _names(tmp_path) == ["model"]


def test_refuses_a_folder_in_place_of_a_file(tmp_path):
    target = tmp_path / "x"
    target.write_text("file")
    with pytest.raises(UserError, match="can't write"), atomic_path(target) as temporary:
        temporary.mkdir()
    assert target.read_text() == "file"


def test_refuses_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"can't create the folder .*file"),
        atomic_path(tmp_path / "file" / "x.txt"),
    ):
        pytest.fail("the block ran")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_refuses_a_read_only_folder(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with (
        pytest.raises(UserError, match="can't write to the folder"),
        atomic_path(tmp_path / "locked" / "x.txt"),
    ):
        pytest.fail("the block ran")


def test_a_block_that_wrote_nothing_is_a_programming_error(tmp_path):
    with pytest.raises(ValueError, match="Nothing was written"), atomic_path(tmp_path / "x"):
        pass


def test_a_full_disk_is_one_line(tmp_path):
    def write(number):
        with atomic_path(tmp_path / "a.txt") as path:
            path.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match="No space left on device; free space"):
        write(errno.ENOSPC)
    with pytest.raises(OSError, match="Input/output"):
        write(errno.EIO)
    assert not list(tmp_path.iterdir())
