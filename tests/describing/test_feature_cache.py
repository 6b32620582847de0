"""The cache: keys by content, box and turn; tables by model, size and pixels; rows as an array."""

import numpy as np
import pytest

from darac_tf.describing import feature_cache
from darac_tf.describing.feature_cache import (
    CachedRows,
    FeatureCache,
    OpenCache,
)
from darac_tf.describing.sizes import Factor, LongSide


def test_another_model_size_or_pixels_never_hits(tmp_path):
    keys, rows = np.arange(48, dtype=np.uint8).reshape(2, 24), np.ones((2, 3), np.float32)
    table = FeatureCache(tmp_path, {"a": "f1"}).tables(LongSide(299), 1)["a"]
    with table.writing():
        table.append(keys, rows)
    settings = [
        ("f1", LongSide(299), 1, True),
        ("f2", LongSide(299), 1, False),
        ("f1", LongSide(300), 1, False),
        ("f1", Factor(0.5), 1, False),
        ("f1", LongSide(299), 2, False),
    ]
    for fingerprint, size, pixels, hits in settings:
        # The name of the descriptor does not count.
        tables = FeatureCache(tmp_path, {"b": fingerprint}).tables(size, pixels)
        missing = OpenCache({size: tables}, keys).missing(np.ones(2, bool))
        assert missing.tolist() == [[not hits]] * 2


def test_names_of_one_fingerprint_share_a_table(tmp_path):
    tables = FeatureCache(tmp_path, {"a": "f", "b": "f", "c": "g"}).tables(LongSide(9), 1)
    assert tables["a"] is tables["b"] and tables["c"] is not tables["a"]
    keys, usable = np.arange(72, dtype=np.uint8).reshape(3, 24), np.ones(3, bool)
    opened = OpenCache({LongSide(9): tables}, keys)
    with opened.writing():
        tables["a"].append(keys[:1], np.ones((1, 4), np.float32))
        tables["c"].append(keys[1:2], np.ones((1, 7), np.float32))
    assert opened.missing(usable).all()
    with opened.writing():
        rows = {"a": np.ones((1, 4)), "b": np.ones((1, 4)), "c": np.ones((1, 7))}
        opened.put(LongSide(9), np.array([0]), rows)
    assert opened.missing(usable).tolist() == [[False], [True], [True]]
    assert opened.missing(usable & [1, 0, 1]).tolist() == [[False], [False], [True]]
    assert [len(tables[name]) for name in "abc"] == [1, 1, 2]


def test_nothing_is_made_by_looking(tmp_path):
    FeatureCache(tmp_path / "cache", {"a": "f"}).tables(LongSide(9), 1)
    assert not (tmp_path / "cache").exists()


def test_no_fingerprints(tmp_path):
    with pytest.raises(ValueError, match=r"Received: fingerprints=\{\}"):
        FeatureCache(tmp_path, {})


@pytest.fixture
def mapped(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    rows.tofile(tmp_path / "rows")
    return rows, np.memmap(tmp_path / "rows", np.float32, "r", shape=(30, 4))


def test_cached_rows_read_like_an_array(mapped, monkeypatch):
    # Pages are given back after every few rows.
    monkeypatch.setattr(feature_cache, "_MAPPED_BYTES", 100)
    rows, mapping = mapped
    index = np.random.default_rng(1).integers(-1, 30, 50)
    assert (index == -1).any()
    expected = np.where((index >= 0)[:, None], rows[index], 0)
    cached = CachedRows(mapping, index)
    assert cached.shape == (50, 4) and len(cached) == 50 and cached.ndim == 2
    assert cached.dtype == np.float32
    items = [3, -1, slice(10, 20), slice(None), slice(40, 99), np.array([5, 5, 1]), index > 7]
    for item in items:
        np.testing.assert_array_equal(cached[item], expected[item])
        assert type(cached[item]) is np.ndarray and cached[item].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(cached), expected)
    np.testing.assert_array_equal(cached[:] @ np.ones(4), expected @ np.ones(4))
    assert np.asarray(cached, np.float64).dtype == np.float64
    with pytest.raises(IndexError):
        cached[50]
    cached[:5][:] = 0  # A copy: the file stays as it is.
    np.testing.assert_array_equal(cached[:], expected)


def test_rows_of_images_that_were_all_left_out():
    cached = CachedRows(np.empty((0, 3), np.float32), np.array([-1, -1]))
    np.testing.assert_array_equal(cached[:], np.zeros((2, 3)))
