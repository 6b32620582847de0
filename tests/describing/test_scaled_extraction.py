"""Extraction with scaled decoding: only large JPEGs without a box change, and only a little."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.data.image_list import ImageList
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache

# The names of the images, their height and width.
FILES = {"a.jpg": (400, 600), "b.jpg": (60, 90), "c.png": (400, 600), "d.jpg": (601, 399)}


def _pixels(pixels):
    """100 pixels of each image, as a descriptor."""
    return {"d": tf.reshape(pixels[:, :20, :20], [tf.shape(pixels)[0], -1])[:, :300]}


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    for name, (height, width) in FILES.items():
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
        small.resize((width, height), Image.BICUBIC).save(tmp_path / name, quality=95)
    return np.array([str(tmp_path / name) for name in FILES])


def _described(images, sizes, scaled, cache=None):
    features = extract_features(
        _pixels, images, sizes, cache, progress=False, scaled_decoding=scaled
    )
    return [np.asarray(features[size]["d"]) for size in sizes]


def _differences(images, sizes=(40,), **options):
    full, scaled = (_described(images, sizes, scaled, **options) for scaled in (False, True))
    return [np.abs(a - b).max(axis=1) for a, b in zip(full, scaled, strict=True)]


def test_only_large_jpegs_change_and_little(paths):
    (found,) = _differences(paths)
    assert found[1] == found[2] == 0
    assert 0 < found[0] < 8 and 0 < found[3] < 8


def test_the_largest_size_decides_for_all(paths):
    small, large = _differences(paths, (40, 310))
    assert not small.any() and not large.any()


def test_turned_images_change_and_cropped_ones_do_not(paths):
    boxes = np.full((4, 4), np.nan)
    boxes[0] = 10, 20, 590, 390
    (found,) = _differences(ImageList(paths, boxes, np.array([1, 1, 1, 1])))
    assert found[0] == found[1] == found[2] == 0 and 0 < found[3] < 8


def test_a_cache_tells_them_apart(paths, tmp_path):
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    (cached,), (alone,) = _differences(paths, cache=cache), _differences(paths)
    np.testing.assert_allclose(cached, alone, atol=1e-3)
    # Of the larger one it is decoded larger, so that the smaller one is made anew.
    (again, _) = _described(paths, (40, 150), True, cache)
    fresh, _ = _described(paths, (40, 150), True)
    np.testing.assert_allclose(again, fresh, atol=1e-3)
