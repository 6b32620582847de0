"""Incremental updates: what is described, dropped, kept and listed as unreadable."""

import os
import shutil

import numpy as np
import pytest

from darac_tf.describing import feature_table
from darac_tf.search import Index, updates, writing
from darac_tf.search.file_table import UNKNOWN
from tests.photographs import file_of
from tests.search.collection import assert_same, entries, expected, run, write_file
from tests.search.small_model import StandIn


def test_first_run_describes_all(photos, index, caplog):
    write_file(photos / "notes.txt", b"no image")
    write_file(photos / ".hidden.jpg", b"hidden")
    write_file(photos / ".trash" / "e.jpg", b"thrown away")
    write_file(photos / "@eaDir" / "a.jpg", b"thumbnail")
    changes, described = run(index, photos)
    assert ": 3 hidden files and folders, or of the system, are left out" in caplog.text
    assert (changes.total, changes.new, changes.changed, changes.removed) == (4, 4, 0, 0)
    assert changes.described == 4 and sorted(described) == [b"a", b"b", b"c", b"d"]
    assert len(entries(index)) == 4
    (photos / ".hidden.jpg").unlink()
    shutil.rmtree(photos / ".trash")
    shutil.rmtree(photos / "@eaDir")
    assert_same(entries(index), expected(photos))


def test_second_run_reads_nothing(photos, index, monkeypatch):
    run(index, photos)
    monkeypatch.setattr(updates, "_read", pytest.fail)
    changes, described = run(index, photos)
    assert (changes.total, changes.new, changes.changed, changes.removed) == (4, 0, 0, 0)
    assert described == [] and changes.faults == []


def test_added_changed_touched_renamed_and_removed_files(photos, index):
    run(index, photos)
    write_file(photos / "new.jpg", b"new")
    write_file(photos / "sub" / "a.jpg", b"A", seconds=5)  # the same size, another time
    write_file(photos / "sub" / "b.jpg", b"b", seconds=5)  # only the time
    (photos / "sub" / "c.jpg").rename(photos / "renamed.jpg")
    (photos / "d.PNG").unlink()
    changes, described = run(index, photos)
    assert (changes.total, changes.new, changes.changed, changes.removed) == (4, 2, 1, 2)
    assert sorted(described) == [b"A", b"new"]
    assert_same(entries(index), expected(photos))


def test_a_change_of_the_size_alone_is_seen(photos, index):
    run(index, photos)
    write_file(photos / "d.PNG", b"longer")
    assert run(index, photos)[1] == [b"longer"]


def test_copies_are_described_once_and_all_are_found(photos, index):
    for name in ("x", "y", "z"):
        write_file(photos / f"{name}.jpg", b"copy")
    changes, described = run(index, photos, batch_images=2)
    assert described.count(b"copy") == 1 and changes.described == 5
    assert_same(entries(index), expected(photos))
    # A further copy in another run.
    write_file(photos / "late.jpg", b"copy")
    assert run(index, photos)[1] == []
    assert_same(entries(index), expected(photos))


def test_copies_in_different_batches_are_described_once(photos, index):
    write_file(photos / "sub" / "zz.jpg", b"d")
    _, described = run(index, photos, batch_images=1)
    assert sorted(described) == [b"a", b"b", b"c", b"d"]


def test_a_file_that_was_written_just_now_is_read_again(photos, index):
    fresh = photos / "fresh.jpg"
    fresh.write_bytes(b"one")
    time_ns = fresh.stat().st_mtime_ns
    run(index, photos)
    fresh.write_bytes(b"two")
    os.utime(fresh, ns=(time_ns, time_ns))  # a clock too coarse to tell
    changes, described = run(index, photos)
    assert described == [b"two"] and changes.changed == 1
    assert_same(entries(index), expected(photos))


def test_unreadable_images_are_listed_and_not_tried_again(photos, index):
    bad, empty = write_file(photos / "bad.jpg", b"bad 1"), write_file(photos / "e.jpg", b"bad")
    (photos / "gone.jpg").symlink_to(photos / "nothing.jpg")
    listed = [
        (str(bad), StandIn.no_image),
        (str(empty), StandIn.no_image),
        (str(photos / "gone.jpg"), "can't be read: No such file or directory"),
    ]
    changes, described = run(index, photos)
    assert changes.faults == listed and changes.new == 6
    assert len(described) == 6
    changes, described = run(index, photos)
    assert changes.faults == listed and described == []
    write_file(bad, b"mended", seconds=9)
    changes, described = run(index, photos)
    assert changes.faults == listed[1:] and described == [b"mended"]
    (photos / "gone.jpg").unlink()
    assert_same(entries(index), expected(photos))


def test_an_image_that_becomes_bad_is_no_longer_found(photos, index):
    run(index, photos)
    write_file(photos / "d.PNG", b"bad now", seconds=1)
    changes, _ = run(index, photos)
    assert [path for path, _ in changes.faults] == [str(photos / "d.PNG")]
    assert_same(entries(index), expected(photos))


def test_what_cannot_be_opened_is_tried_again(photos, index, monkeypatch):
    real = os.open

    def refuse(path, *arguments):
        if path == os.fsencode(photos / "d.PNG"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    changes, _ = run(index, photos)
    assert changes.faults == [(str(photos / "d.PNG"), "can't be read: Permission denied")]
    monkeypatch.setattr(os, "open", real)
    changes, described = run(index, photos)
    assert changes.faults == [] and described == [b"d"]


def test_a_folder_that_cannot_be_listed_keeps_its_files(photos, index, monkeypatch):
    run(index, photos)
    real = os.scandir

    def refuse(path):
        if os.fspath(path) == os.fsencode(photos / "sub"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    changes, _ = run(index, photos)
    monkeypatch.setattr(os, "scandir", real)
    assert changes.removed == 0
    assert changes.faults == [(str(photos / "sub"), "can't be listed: Permission denied")]
    assert_same(entries(index), expected(photos))


def test_too_large_files_and_pipes_do_no_harm(photos, index, monkeypatch):
    monkeypatch.setattr(updates, "MAX_FILE_BYTES", 3 << 20)
    large = write_file(photos / "large.jpg", bytes((3 << 20) + 1))
    os.mkfifo(photos / "pipe.jpg")
    changes, _ = run(index, photos)
    assert changes.faults == [
        (str(large), "is larger than 3 MB"),
        (str(photos / "pipe.jpg"), "is no file"),
    ]


def test_vectors_that_no_file_needs_are_removed(photos, index):
    run(index, photos)
    (photos / "d.PNG").unlink()
    # One of four is not more than a fourth.
    assert run(index, photos)[0].compacted == 0
    (photos / "sub" / "a.jpg").unlink()
    assert run(index, photos)[0].compacted == 2
    assert [path.name for path in index.glob("vectors-*")] == ["vectors-2"]
    assert (index / "vectors-2" / "rows.f32").stat().st_size == 2 * 48 * 4
    assert_same(entries(index), expected(photos))
    write_file(photos / "d.PNG", b"d")
    assert run(index, photos)[1] == [b"d"]
    assert_same(entries(index), expected(photos))
    (photos / "d.PNG").unlink()
    assert run(index, photos)[0].compacted == 1  # one of three


def test_a_reader_survives_compaction(photos, index):
    run(index, photos)
    with Index(index) as reader:
        _, rows = reader.live()
        before = reader.vectors(rows)
        (photos / "sub" / "a.jpg").unlink()
        (photos / "d.PNG").unlink()
        run(index, photos)
        assert before.shape == (4, 48) and np.isfinite(before[:]).all()


@pytest.mark.parametrize("seen", ["when opened", "by verify", "by compaction"])
def test_damaged_vectors_are_made_again(photos, index, seen, monkeypatch):
    run(index, photos)
    rows = index / "vectors-1" / "rows.f32"
    data = bytearray(rows.read_bytes())
    data[48 * 4 + 5] ^= 255
    rows.write_bytes(data)
    if seen != "when opened":
        # Only the last rows are looked at without being asked.
        monkeypatch.setattr(feature_table, "_CHECKED_AT_ONCE", 1)
        assert len(entries(index)) == 4
    if seen == "by compaction":
        with writing(index) as opened:
            assert opened.compact(dead_share=-1) == 1
        assert len(entries(index)) == 3
    changes, described = run(index, photos, verify=seen == "by verify")
    assert len(described) == 1 and changes.compacted == (seen != "by compaction")
    assert_same(entries(index), expected(photos))


def test_bytes_of_a_batch_are_bounded(photos, index, monkeypatch):
    monkeypatch.setattr(updates, "_BATCH_BYTES", 2)
    sizes = []

    class Counting(StandIn):
        def __call__(self, data):
            sizes.append(len(data))
            return super().__call__(data)

    run(index, photos, model=Counting())
    assert sizes == [2, 2]


def test_batch_images_must_be_positive(photos, index):
    with pytest.raises(ValueError, match="Received: 0"):
        run(index, photos, batch_images=0)


def test_a_file_that_grows_while_it_is_read_is_read_again(photos, monkeypatch):
    real = os.fstat

    class Earlier:
        st_mode, st_mtime_ns, st_size = 0o100644, 1, 0

    path = os.fsencode(photos / "d.PNG")
    monkeypatch.setattr(updates.os, "fstat", lambda _: Earlier)
    assert updates._read(path, False).size == UNKNOWN
    monkeypatch.setattr(updates.os, "fstat", real)
    assert updates._read(path, False).size == 1


def test_portraits_that_their_tag_lays_down_are_named(photos, index):
    for name, height, orientation in (("p", 40, 6), ("q", 40, None), ("r", 40, 3), ("s", 10, 6)):
        write_file(photos / f"{name}.jpg", file_of("JPEG", "RGB", height, 20, orientation))
    assert run(index, photos)[0].lying == [str(photos / "p.jpg")]
    assert run(index, photos)[0].lying == []


def test_portraits_are_not_named_where_the_model_turns_nothing(photos, index):
    write_file(photos / "p.jpg", file_of("JPEG", "RGB", 40, 20, 6))
    model = StandIn()
    model.is_upright = False
    with writing(index, model) as opened:
        assert updates.update(opened, model, [photos], progress=False).lying == []
