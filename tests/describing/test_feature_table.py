"""The table on disk: what was appended is found; torn ends are cut; damage is refused; one writer;
killed at random moments it loses nothing and holds nothing twice."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from darac_tf.data.content_keys import VIEW_KEY_BYTES
from darac_tf.describing import feature_table
from darac_tf.describing.feature_table import FeatureTable
from darac_tf.errors import UserError
from tests.conftest import REPOSITORY
from tests.helpers import slow_but

META = {"model": "abc", "size": "299"}
RECORD = VIEW_KEY_BYTES + 8


def _data(count, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 256, (count, VIEW_KEY_BYTES)).astype(np.uint8)
    keys[::3, -2:] = 0  # Zeros at the end must count.
    return keys, rng.normal(size=(count, dim)).astype(np.float32)


def _written(folder, count=20, dim=5, batch=7):
    keys, rows = _data(count, dim)
    table = FeatureTable(folder, META)
    with table.writing():
        for start in range(0, count, batch):
            table.append(keys[start : start + batch], rows[start : start + batch])
    return keys, rows, table


def _check(table, keys, rows):
    place = table.find(keys)
    assert (place >= 0).all()
    np.testing.assert_array_equal(table.rows()[place], rows)


def test_rows_are_found_at_once_and_when_opened_again(tmp_path):
    keys, rows, table = _written(tmp_path / "t")
    again = FeatureTable(tmp_path / "t", META)
    for each in (table, again):
        assert len(each) == 20 and each.dim == 5
        _check(each, keys, rows)
        assert (each.find(_data(4, seed=1)[0]) == -1).all()
    with again.writing():
        more_keys, more = _data(3, seed=2)
        again.append(more_keys, more)
    _check(again, np.concatenate([keys, more_keys]), np.concatenate([rows, more]))


def test_an_absent_table_is_empty(tmp_path):
    table = FeatureTable(tmp_path / "t", META)
    assert len(table) == 0 and table.rows().shape == (0, 0)
    assert table.find(_data(3)[0]).tolist() == [-1] * 3
    assert table.find(np.zeros((0, VIEW_KEY_BYTES), np.uint8)).shape == (0,)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("cut", range(0, 3 * RECORD, 13))
def test_a_torn_end_of_the_keys_is_cut(cut, tmp_path):
    keys, rows, _ = _written(tmp_path)
    os.truncate(tmp_path / "keys.bin", 20 * RECORD - cut)
    kept = 20 - -(-cut // RECORD)
    _repaired(tmp_path, keys, rows, kept)


@pytest.mark.parametrize("cut", range(0, 3 * 20, 9))
def test_rows_that_are_missing_cut_their_keys(cut, tmp_path):
    keys, rows, _ = _written(tmp_path)
    os.truncate(tmp_path / "rows.f32", 20 * 20 - cut)
    _repaired(tmp_path, keys, rows, 20 - -(-cut // 20))


def test_zeros_at_the_end_after_a_loss_of_power_are_cut(tmp_path):
    keys, rows, _ = _written(tmp_path)
    for name, size in (("keys.bin", 20 * RECORD), ("rows.f32", 400)):
        with (tmp_path / name).open("r+b") as file:
            file.truncate(size * 17 // 20)
            file.truncate(size)
    _repaired(tmp_path, keys, rows, 17)


def _repaired(folder, keys, rows, kept):
    """Reading changes nothing; writing cuts; what is appended anew is found."""
    sizes = [(folder / name).stat().st_size for name in ("keys.bin", "rows.f32")]
    table = FeatureTable(folder, META)
    assert len(table) == kept
    assert sizes == [(folder / name).stat().st_size for name in ("keys.bin", "rows.f32")]
    _check(table, keys[:kept], rows[:kept])
    assert (table.find(keys[kept:]) == -1).all()
    with table.writing():
        if kept < len(keys):
            table.append(keys[kept:], rows[kept:])
    for each in (table, FeatureTable(folder, META)):
        assert len(each) == 20
        _check(each, keys, rows)
    assert (folder / "rows.f32").stat().st_size == rows.nbytes


@pytest.mark.parametrize("dim", [5, 6])
@pytest.mark.parametrize("name", ["keys.bin", "rows.f32"])
@pytest.mark.parametrize("seen", ["when opened", "when read", "by verify"])
def test_damage_in_the_middle_costs_only_the_damaged_rows(
    name, seen, dim, tmp_path, caplog, monkeypatch
):
    keys, rows, _ = _written(tmp_path, dim=dim)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    if seen != "when opened":
        monkeypatch.setattr(feature_table, "_CHECKED_AT_ONCE", 4)
    table = FeatureTable(tmp_path, META)
    if seen != "when opened":
        assert table.damaged == 0 and len(table) == 20 and not caplog.text
    if seen == "when read":
        table.check(np.array([9, -1, 11, 9]))
        assert table.damaged == 0
        # A damaged key is one that nobody asks for.
        asked = table.find(keys) if name == "rows.f32" else np.arange(20)
        assert table.check(asked) == 1
    if seen == "by verify":
        assert table.verify() == 1
    assert table.damaged == 1 and f"{tmp_path}: 1 damaged rows are made anew" in caplog.text
    assert np.flatnonzero(table.find(keys) < 0).tolist() == [10] and len(table) == 19
    others = np.arange(20) != 10
    _check(table, keys[others], rows[others])
    with table.writing():
        table.append(keys[10:11], rows[10:11])
    for each in (table, FeatureTable(tmp_path, META)):
        assert each.find(keys[10:11]) == 20
        _check(each, keys, rows)
        assert each.verify() == 1 and len(each) == 20


@pytest.mark.parametrize("bit", [0, 5, 31])
@pytest.mark.parametrize("place", [0, 1, 3, 4])
def test_any_single_bit_of_a_row_counts(place, bit, tmp_path):
    _, rows, _ = _written(tmp_path)
    words = rows.view(np.uint32)
    words[7, place] ^= np.uint32(1 << bit)
    rows.tofile(tmp_path / "rows.f32")
    assert FeatureTable(tmp_path, META).verify() == 1


def test_rows_that_changed_places_and_zeros_are_damaged(tmp_path):
    _, rows, _ = _written(tmp_path)
    for change in (rows[:, [1, 0, 2, 3, 4]], rows[:, [2, 3, 0, 1, 4]], rows[::-1], -rows, 0 * rows):
        change.tofile(tmp_path / "rows.f32")
        assert len(FeatureTable(tmp_path, META)) == 0
    (tmp_path / "keys.bin").write_bytes(bytes(20 * RECORD))
    assert len(FeatureTable(tmp_path, META)) == 0


def test_opening_reads_the_last_rows_only(tmp_path, monkeypatch):
    _written(tmp_path, count=700, batch=700)
    checked, checksums = [], feature_table._checksums
    monkeypatch.setattr(
        feature_table, "_checksums", lambda k, r: checked.append(len(k)) or checksums(k, r)
    )
    table = FeatureTable(tmp_path, META)
    assert checked == [256]
    assert table.verify() == 0 and sum(checked[1:]) == 700


def test_keys_that_share_a_number_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_table, "_mixed", lambda words: words[:, 0] % np.uint64(3))
    keys, rows, table = _written(tmp_path, count=50)
    _check(table, keys, rows)
    assert (table.find(_data(20, seed=1)[0]) == -1).all()


def test_a_table_of_an_older_version_is_made_anew(tmp_path, caplog):
    keys, rows, _ = _written(tmp_path)
    path = tmp_path / "meta.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    table = FeatureTable(tmp_path, META)
    assert len(table) == 0 and f"{tmp_path} is of an older version" in caplog.text
    with table.writing():
        table.append(keys[:3], rows[:3])
    for each in (table, FeatureTable(tmp_path, META)):
        assert len(each) == 3 and len(each.rows()) == 3
        _check(each, keys[:3], rows[:3])
    path.write_text(path.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(UserError, match="format is 3 and not 2; delete"):
        FeatureTable(tmp_path, META)


def test_damaged_meta_is_refused(tmp_path):
    _written(tmp_path)
    path = tmp_path / "meta.json"
    with pytest.raises(UserError, match="size is '299' and not '540'"):
        FeatureTable(tmp_path, META | {"size": "540"})
    path.write_text(path.read_text()[:20])
    with pytest.raises(UserError, match=r"meta\.json is damaged: delete"):
        FeatureTable(tmp_path, META)
    path.unlink()
    with pytest.raises(UserError, match=r"meta\.json is missing: delete"):
        FeatureTable(tmp_path, META)


def test_one_writer_at_a_time_and_readers_beside_it(tmp_path):
    keys, rows = _data(4)
    first, second = FeatureTable(tmp_path, META), FeatureTable(tmp_path, META)
    with first.writing():
        first.append(keys, rows)
        with pytest.raises(UserError, match=f"written by process {os.getpid()}; wait"):
            second.writing().__enter__()
        _check(FeatureTable(tmp_path, META), keys, rows)
    with second.writing():
        # What the first wrote is known before anything is appended.
        _check(second, keys, rows)


def test_wrong_calls(tmp_path):
    keys, rows, table = _written(tmp_path)
    with pytest.raises(ValueError, match="Received: a call outside"):
        table.append(keys, rows)
    with table.writing(), pytest.raises(ValueError, match=r"Received: \(20, 4\)"):
        table.append(keys, rows[:, :4])


@pytest.mark.parametrize("caught", [False, True])
def test_a_full_disk_is_said(caught, tmp_path):
    (tmp_path / "rows.f32").symlink_to("/dev/full")
    table = FeatureTable(tmp_path, META)
    full = r"can't write the cache .*: No space left on device"
    if caught:
        with table.writing():
            with pytest.raises(UserError, match=full):
                table.append(*_data(3))
            # Nothing may follow half a row.
            with pytest.raises(ValueError, match=r"Received: .* after a failure"):
                table.append(*_data(3))
    else:
        with pytest.raises(UserError, match=full), table.writing():
            table.append(*_data(3))
    assert len(table) == 0


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    table = FeatureTable(tmp_path / "file" / "t", META)
    with pytest.raises(UserError, match=r"can't write the cache .*: Not a directory"):
        table.writing().__enter__()


# Without TensorFlow, so that many processes can be started and killed in a short time.
APPENDER = """
import sys, numpy as np
from darac_tf.describing.feature_table import FeatureTable
folder, data = sys.argv[1:]
with np.load(data) as file:
    keys, rows = file["keys"], file["rows"]
table = FeatureTable(folder, {"model": "abc", "size": "299"})
with table.writing():
    print("ready", len(table), flush=True)
    todo = np.flatnonzero(table.find(keys) < 0)
    for some in np.split(todo, range(7, len(todo), 7)):
        table.append(keys[some], rows[some])
        print(len(some), flush=True)
"""


@pytest.mark.parametrize("most", slow_but([2], [2, 8]))
def test_killed_at_random_moments(most, tmp_path):
    keys, rows = _data(700 * most, 512)
    np.savez(tmp_path / "data.npz", keys=keys, rows=rows)
    folder = tmp_path / "table"
    command = [sys.executable, "-c", APPENDER, str(folder), str(tmp_path / "data.npz")]
    rng = np.random.default_rng(5)
    known, kills = 0, 0
    while known < len(keys):
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as child:
            # Nothing that was finished before the kill was lost.
            assert int(child.stdout.readline().split()[1]) == known
            finished = 0
            if kills < most:
                finished = sum(int(child.stdout.readline()) for _ in range(rng.integers(1, 60)))
                time.sleep(rng.uniform(0, 0.001))
                child.send_signal(signal.SIGKILL)
            finished += sum(map(int, child.stdout.read().split()))
            kills += child.wait() == -signal.SIGKILL
        table = FeatureTable(folder, META)
        assert table.damaged == 0
        _check(table, keys[: len(table)], rows[: len(table)])
        # At most the batch that was being written is there without having been reported.
        assert known + finished <= len(table) <= known + finished + 7
        known = len(table)
    assert kills == most
    assert (folder / "rows.f32").stat().st_size == rows.nbytes
    assert sorted(table.find(keys)) == list(range(len(keys)))
