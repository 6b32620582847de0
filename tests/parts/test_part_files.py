"""Files of parts: as PyArrow reads them, mapped, whole or not, and of two writers."""

import os
import time

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from darac_tf.errors import UserError
from darac_tf.parts import part_files
from darac_tf.parts.part_files import (
    Layout,
    Parts,
    dead_letters,
    fault_of_part,
    remove_leftovers,
    write_part,
)
from tests.parts.part_helpers import columns_of, layout_of


def written(folder, layout, dead=()):
    """All parts of a layout, but for the rows of `dead`; the vectors in order."""
    layout.begin(folder)
    for part in range(len(layout)):
        rows = range(*layout.rows_of(part))
        letters = [(f"image {row}", f"{row}.jpg", "gone") for row in rows if row in dead]
        good = [row for row in rows if row not in dead]
        write_part(folder, layout, part, columns_of(good, layout.dim), letters)
    return columns_of([r for r in range(layout.rows) if r not in dead], layout.dim)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("dead", [(), (1, 8, 9)])
def test_parts_are_what_pyarrow_reads_and_are_mapped(tmp_path, dtype, dead):
    layout = layout_of(dtype=dtype)
    expected = written(tmp_path, layout, dead)
    parts = Parts.open(tmp_path)
    tables = [pyarrow.parquet.read_table(parts.path(part)) for part in range(3)]
    for name in ("id", "sha256", "bytes", "width", "height"):
        assert [x for t in tables for x in t.column(name).to_pylist()] == list(expected[name])
    counts = [t.num_rows for t in tables]
    assert len(parts) == 3 and parts.rows == 10 - len(dead)
    np.testing.assert_array_equal(parts.offsets, np.cumsum([0, *counts]))
    for part, table in enumerate(tables):
        vectors = parts.vectors(part)
        assert counts[part] == 0 or isinstance(vectors, np.memmap)
        found = np.array(table.column("vector").to_pylist(), dtype).reshape(-1, 6)
        np.testing.assert_array_equal(vectors, found)
        assert parts.ids(part) == table.column("id").to_pylist()
    rows = [6, 0, 5, 6, 2]
    np.testing.assert_array_equal(parts.read(rows), expected["vector"][rows].astype(dtype))
    assert parts.read([]).shape == (0, 6) and parts.read(rows).dtype == np.float32
    assert [dead_letters(tmp_path, 0), dead_letters(tmp_path, 1)] == (
        [[("image 1", "1.jpg", "gone")], []] if dead else [[], []]
    )


def test_a_part_that_another_program_has_written_is_read(tmp_path):
    layout = layout_of(4000, 4000, 64)
    expected = written(tmp_path, layout)
    path = tmp_path / "part-000000.parquet"
    table = pyarrow.parquet.read_table(path)
    plain = {"compression": "none", "use_dictionary": False, "data_page_size": 1 << 29}
    checked = {"write_page_checksum": True}
    for how in ({}, {"compression": "zstd"}, {"data_page_size": 9000}, {"row_group_size": 999}):
        pyarrow.parquet.write_table(table, path, **plain | checked | how)
        vectors = Parts.open(tmp_path).vectors(0)
        assert isinstance(vectors, np.memmap) is (how == {})
        np.testing.assert_array_equal(vectors, expected["vector"])


def test_a_part_is_whole_only_with_its_own_letters(tmp_path):
    layout = layout_of()
    written(tmp_path, layout, dead=(1,))
    part, dead = tmp_path / "part-000000.parquet", tmp_path / "dead-000000.parquet"
    assert fault_of_part(tmp_path, layout, 0) is None
    letters = dead.read_bytes()
    dead.unlink()
    assert "not written with the dead-000000.parquet" in fault_of_part(tmp_path, layout, 0)
    write_part(tmp_path, layout, 0, columns_of(range(4)))  # another could read the image
    assert fault_of_part(tmp_path, layout, 0) is None
    dead.write_bytes(letters)  # the first one's letters come late
    assert "not written with the dead-000000.parquet" in fault_of_part(tmp_path, layout, 0)
    dead.unlink()
    content = part.read_bytes()
    part.write_bytes(content[:-9])
    assert "can't be read" in fault_of_part(tmp_path, layout, 0)
    with pytest.raises(UserError, match=r"part-000000.parquet can't be read .*describe again"):
        Parts.open(tmp_path)
    part.unlink()
    assert fault_of_part(tmp_path, layout, 0) == ""
    with pytest.raises(UserError, match=r"part-000000.parquet is missing"):
        Parts.open(tmp_path)
    (tmp_path / "part-000001.parquet").rename(part)
    assert fault_of_part(tmp_path, layout, 0) == "is part 1 with 4 rows"


def test_letters_that_come_between_are_seen_to(tmp_path, monkeypatch):
    """Another writer's letters of the same part, between this one's letters and its part."""
    layout, between = layout_of(4), [True, False]
    layout.begin(tmp_path)
    write, dead = part_files._write, [("image 1", "1.jpg", "gone")]

    def interrupted(path, *rest):
        if path.name.startswith("part") and between and between.pop(0):
            between.clear()
            write_part(tmp_path, layout, 0, columns_of([0, 2, 3]), dead)
        write(path, *rest)

    monkeypatch.setattr(part_files, "_write", interrupted)
    write_part(tmp_path, layout, 0, columns_of(range(4)))
    assert fault_of_part(tmp_path, layout, 0) is None
    assert Parts.open(tmp_path).rows == 4 and dead_letters(tmp_path, 0) == []


def test_parts_of_others_are_refused(tmp_path):
    layout = layout_of()
    with pytest.raises(UserError, match="holds no parts"):
        Parts.open(tmp_path)
    written(tmp_path, layout)
    for change in ({"model": "other"}, {"manifest": "other"}, {"rows": 11}, {"part_rows": 5}):
        with pytest.raises(UserError, match=f"holds parts of another {next(iter(change))} "):
            layout_of(**change).begin(tmp_path)
    with pytest.raises(UserError, match=r"part-000000.parquet is of another model"):
        fault_of_part(tmp_path, layout_of(model="other"), 0)
    with pytest.raises(ValueError, match=r"Part 2 has 2 rows. Received: 3 images and 0 dead"):
        write_part(tmp_path, layout, 2, columns_of(range(3)))
    with pytest.raises(UserError, match="--part_rows=20000: vectors of 90000 dimensions"):
        layout_of(part_rows=20000, dim=90000)
    (tmp_path / "parts.json").write_text('{"format": 1, "mod', encoding="utf-8")
    with pytest.raises(UserError, match=r"parts.json is damaged"):
        Layout.read(tmp_path)


def test_what_killed_writers_left_is_removed_after_an_hour(tmp_path):
    paths = [tmp_path / f".{text}.part-000000.parquet" for text in ("0123abcd", "89abcdef")]
    for path in paths:
        path.write_bytes(b"x")
    os.utime(paths[0], (time.time() - 4000,) * 2)
    remove_leftovers(tmp_path)
    assert [path.exists() for path in paths] == [False, True]
