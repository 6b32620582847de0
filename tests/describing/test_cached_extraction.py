"""Extraction with a cache: what hits and what misses, several descriptors, killed and resumed."""

import os
import shutil

import numpy as np
import pytest

from darac_tf.data.images import PIXELS_VERSION
from darac_tf.data.views import ImageList
from darac_tf.describing import feature_table
from darac_tf.describing.feature_cache import CachedRows, FeatureCache
from darac_tf.describing.sizes import Factor, LongSide
from darac_tf.errors import UserError
from tests.describing.extraction_helpers import Counting, extract, extract_all, write_images
from tests.helpers import slow_but, write_image


def test_a_second_evaluation_extracts_nothing(tmp_path):
    paths = write_images(tmp_path)
    paths = np.concatenate([paths, paths[:4]])
    shutil.copy(paths[0], tmp_path / "moved.png")
    describe = Counting()
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    plain, _ = extract(paths, 32, describe)
    assert describe.counted() == 16
    first, _ = extract(paths, 32, describe, cache)
    # Images of one content share a row.
    assert describe.counted() == 12 and len(cache.tables(LongSide(32), PIXELS_VERSION)["d"]) == 12
    other = Counting()
    second, _ = extract(paths, 32, other, FeatureCache(tmp_path / "cache", {"x": "f", "d": "f"}))
    assert other.counted() == other.traces == 0
    np.testing.assert_allclose(first, plain, atol=1e-4)
    np.testing.assert_array_equal(second, first)
    moved, _ = extract(np.array([str(tmp_path / "moved.png")]), 32, describe, cache)
    np.testing.assert_array_equal(moved[0], first[0])
    assert describe.counted() == 0


def test_what_misses_the_cache(tmp_path):
    paths = write_images(tmp_path, 6)
    describe = Counting()
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    extract(paths, 32, describe, cache)
    assert describe.counted() == 6
    boxes = np.tile([0, 0, 20, 30.0], (6, 1))
    boxes[2:] = np.nan
    turns = np.array([0, 0, 0, 0, 1, 2])
    for images, size, own, new in [
        (ImageList(paths, boxes), 32, cache, 2),
        (ImageList(paths, None, turns), 32, cache, 2),
        (ImageList(paths, boxes, turns), 32, cache, 0),
        (paths, Factor(0.5), cache, 6),
        (paths, 32, FeatureCache(tmp_path / "cache", {"d": "g"}), 6),
        (paths, 32, cache, 0),
    ]:
        found, _ = extract(images, size, describe, own)
        assert describe.counted() == new
    np.testing.assert_allclose(found, extract(paths, 32)[0], atol=1e-4)
    write_image(paths[1], 48, 64, seed=77)
    extract(paths, 32, describe, cache)
    assert describe.counted() == 1


def test_several_descriptors(tmp_path):
    paths = write_images(tmp_path, 6)
    folder = tmp_path / "cache"
    extract(paths[:4], 32, Counting(["d"]), FeatureCache(folder, {"d": "0"}))
    both = Counting(["d", "e", "same"])
    cache = FeatureCache(folder, {"d": "0", "e": "1", "same": "0"})
    found = extract_all(paths, [32], both, cache)[32]
    assert both.counted() == 6 and all(isinstance(rows, CachedRows) for rows in found.values())
    np.testing.assert_allclose(found["d"][:] + 1, found["e"][:], atol=1e-4)
    np.testing.assert_array_equal(found["d"][:], found["same"][:])
    tables = FeatureCache(folder, {"d": "0", "e": "1"}).tables(LongSide(32), PIXELS_VERSION)
    assert [len(tables["d"]), len(tables["e"])] == [6, 6]
    with pytest.raises(ValueError, match=r"Received: \['absent'\]"):
        extract_all(paths, [33], both, FeatureCache(folder, {"absent": "2"}))


def test_a_cache_in_use_is_refused(images, tmp_path):
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    with (
        cache.tables(LongSide(32), PIXELS_VERSION)["d"].writing(),
        pytest.raises(UserError, match=f"is being written by process {os.getpid()}"),
    ):
        extract(images[:3], 32, cache=cache)


def test_a_damaged_row_is_described_again(images, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(feature_table, "_CHECKED_AT_ONCE", 2)
    describe, cache = Counting(), FeatureCache(tmp_path / "cache", {"d": "f"})
    expected, _ = extract(images, 32, describe, cache)
    (rows,) = (tmp_path / "cache").rglob("rows.f32")
    data = bytearray(rows.read_bytes())
    data[3 * 14 * 4 + 2] ^= 64
    rows.write_bytes(data)
    describe.counted()
    found, _ = extract(images, 32, describe, cache)
    assert describe.counted() == 1 and "1 damaged rows are made anew" in caplog.text
    np.testing.assert_array_equal(found, expected)
    extract(images, 32, describe, cache)
    assert describe.counted() == 0


# Forks before TensorFlow starts its threads.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.feature_table import FeatureTable
from tests.describing.extraction_helpers import halves

folder, cache_folder, log, most = *map(Path, sys.argv[1:4]), int(sys.argv[4])
paths = np.array(sorted(map(str, folder.glob("*.png"))))

def attempt():
    keep = FeatureTable.append
    def append(table, keys, rows):
        keep(table, keys, rows)
        with log.open("a") as file:
            file.write(f"{len(rows)}\\n")
    FeatureTable.append = append
    cache = FeatureCache(cache_folder, {"d": "f"})
    options = {"batch_pixels": 4 * 32 * 32, "progress": False}
    extract_features(lambda x: {"d": halves(x)}, paths, [32], cache, **options)

def lines():
    return log.read_text().count("\\n") if log.exists() else 0

random.seed(3)
kills = 0
while True:
    child = os.fork()
    if not child:
        attempt()
        os._exit(0)
    if kills < most:
        wanted = lines() + random.randint(1, 7)
        while lines() < wanted and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.003))
        os.kill(child, signal.SIGKILL)
        kills += 1
    status = os.waitpid(child, 0)[1]
    if status == 0:
        print(kills)
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
"""


@pytest.mark.parametrize("most", slow_but([2], [2, 4]))
def test_killed_and_started_again_equals_an_uninterrupted_run(most, run_command, tmp_path):
    folder, log = tmp_path / "images", tmp_path / "log"
    paths = np.array(sorted(write_images(folder, 30 * most)))
    status, printed, last = run_command("-c", KILLED, folder, tmp_path / "cache", log, most)
    assert status == 0, last
    kills = int(printed)
    assert kills == most
    table = FeatureCache(tmp_path / "cache", {"d": "f"}).tables(LongSide(32), PIXELS_VERSION)["d"]
    assert len(table) == len(table.rows()) == 30 * most and table.damaged == 0
    # Described once each; only what was being written at a kill may be missing from the log.
    written = sum(map(int, log.read_text().split()))
    assert 30 * most - 4 * kills <= written <= 30 * most
    describe = Counting()
    resumed, _ = extract(paths, 32, describe, FeatureCache(tmp_path / "cache", {"d": "f"}))
    assert describe.counted() == 0
    np.testing.assert_allclose(resumed, extract(paths, 32)[0], atol=1e-4)
