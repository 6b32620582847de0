"""Letting go of mapped pages changes no values, and keeps a pass over a file out of memory."""

import doctest
from pathlib import Path

import numpy as np
import pytest

from darac_tf import memory
from darac_tf.errors import UserError
from darac_tf.memory import release, release_part
from darac_tf.ranking.exact_search import search

STATUS = Path("/proc/self/status")


def mapped_mib():
    if not STATUS.exists():
        pytest.skip("reads /proc, as Linux has it")
    text = STATUS.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("RssFile:")]
    return int(lines[0].split()[1]) / 1024


def file_of(folder, mib=64, dim=256):
    rows = np.random.default_rng(0).standard_normal((mib * 1024, dim), np.float32)
    path = folder / "x.npy"
    np.save(path, rows)
    return path


def test_releases_the_rows_that_are_named(tmp_path):
    path = file_of(tmp_path)
    database = np.load(path, mmap_mode="r")
    before = mapped_mib()
    total = float(database.sum())
    assert mapped_mib() > before + 50
    release(database, 0, len(database) // 2)
    half = mapped_mib()
    assert before + 20 < half < before + 45
    release(np.asarray(database)[5:])  # a view of a view
    assert mapped_mib() < before + 5
    assert float(database.sum()) == total


def test_parts_of_large_files_are_released_and_small_files_stay(tmp_path, monkeypatch):
    database = np.load(file_of(tmp_path), mmap_mode="r")
    before = mapped_mib()
    database.sum()
    release_part(database, 0, len(database))
    assert mapped_mib() > before + 50
    monkeypatch.setattr(memory, "_SMALL", 32 << 20)
    release_part(database, 0, len(database))
    assert mapped_mib() < before + 5


def test_a_search_does_not_keep_a_large_file_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SMALL", 32 << 20)
    database = np.load(file_of(tmp_path), mmap_mode="r")
    queries = np.asarray(database[[3, 70, 5000]])
    before = mapped_mib()
    for top_k in (20, None):
        rows, _ = search(queries, database, top_k, block_rows=1024)
        np.testing.assert_array_equal(rows[:, 0], [3, 70, 5000])
        assert mapped_mib() < before + 8


def test_keeps_changes(tmp_path):
    path = file_of(tmp_path, mib=1)
    for mode in ("c", "r+"):
        database = np.load(path, mmap_mode=mode)
        database[:] = 7
        release(database)
        assert (database == 7).all()


def test_leaves_other_arrays_alone(tmp_path):
    for array in (np.ones((3, 2)), [[1.0]], np.ones((0, 2))):
        release(array)
    mapped = np.load(file_of(tmp_path, mib=1), mmap_mode="r")
    release(mapped, 5, 5)
    release(mapped[::-1])
    release(mapped[:, ::3])
    assert np.isfinite(mapped).all()


def test_sizes_as_text():
    assert doctest.testmod(memory).attempted == 2 and not doctest.testmod(memory).failed
    sizes = [memory.parse_bytes(text) for text in ("4096", "500 MB", "0.5GiB", "2TiB")]
    assert sizes == [4096, 500_000_000, 1 << 29, 2 << 40]
    assert memory.readable_bytes(1000) == "1000 bytes"
    for text in ("", "8 gigs", "-1GiB", "0", "GiB"):
        with pytest.raises(UserError, match=f"--memory={text}: give a size such as 8GiB"):
            memory.parse_bytes(text)


def test_free_bytes_are_what_a_limit_leaves():
    held = memory.free_bytes(1 << 40)
    assert 0 < (1 << 40) - held < 1 << 37
    assert memory.free_bytes(0) < 0 < memory.free_bytes()
