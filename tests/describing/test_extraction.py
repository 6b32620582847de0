"""Extraction: one trace for many shapes, crops and turns, bad images left out or named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.data.image_list import ImageList
from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sizes import Factor, LongSide
from darac_tf.engines import as_engine
from darac_tf.errors import UserError
from darac_tf.models import build_descriptor
from tests.describing.extraction_helpers import Counting, extract, halves, write_images
from tests.helpers import write_backbone, write_image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_descriptor(write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras"))


def test_fifty_shapes_in_one_trace_and_in_order(model, tmp_path):
    shapes = [(30 + i, 81 - i) for i in range(50)]
    paths = [write_image(tmp_path / f"{i}.png", *s, seed=i) for i, s in enumerate(shapes)]
    engine = as_engine(lambda x: {"d": model(x)})
    found = extract_features(engine, paths, [64], progress=False)[64]["d"]
    assert engine.traces == 1
    for path, vector in zip(paths, found, strict=True):
        pixels = resize_long_side(decode_image(Path(path).read_bytes()), 64)
        np.testing.assert_allclose(model(pixels[None])[0], vector, atol=1e-5)


def test_batch_size_changes_nothing(model, tmp_path):
    paths = [write_image(tmp_path / f"{i}.jpg", seed=i) for i in range(7)]
    alone, together = (
        extract(paths, 48, lambda x: {"d": model(x)}, batch_pixels=pixels)[0]
        for pixels in (1, 10**6)
    )
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_a_bad_image_is_named(model, tmp_path):
    paths = [write_image(tmp_path / f"{i}.jpg", 80, 90, seed=i) for i in range(30)]
    data = (tmp_path / "17.jpg").read_bytes()
    (tmp_path / "17.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"17\.jpg: cannot be decoded"):
        extract(paths, 64, lambda x: {"d": model(x)})


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [LongSide(32), Factor(0.5), Factor(1.3)])
def test_crops_and_turns_are_those_of_the_pixels(size, turned, tmp_path):
    """Fails where boxes or turns are ignored, or where the factor is not that of the crop."""
    paths = write_images(tmp_path)
    rng = np.random.default_rng(0)
    boxes = rng.uniform([0, 0, 24, 20], [12, 15, 40, 40], (len(paths), 4))
    boxes[5] = np.nan
    turns = np.arange(len(paths)) % 4 if turned else None
    describe = Counting()
    found, _ = extract(ImageList(paths, boxes, turns), size, describe)
    for index, path in enumerate(paths):
        with Image.open(path) as image:
            seen = image if index == 5 else image.crop(tuple(boxes[index]))
            if turned:
                seen = seen.rotate(90 * turns[index], expand=True)
            expected = halves(size.resize(np.asarray(seen))[None])[0]
        np.testing.assert_allclose(found[index], expected, atol=1e-3)
    whole, _ = extract(paths, size, describe)
    assert (np.abs(found - whole).max(axis=1) > 1).sum() >= 11
    assert describe.traces == 1


def test_sizes_in_one_trace(tmp_path):
    paths, describe = write_images(tmp_path), Counting()
    for size in (32, LongSide(40), Factor(0.5)):
        extract(paths, size, describe)
    found, _ = extract(paths, Factor(2), describe)
    np.testing.assert_array_equal(found[:2, -2:], [[96, 128], [128, 96]])
    found, _ = extract(paths, Factor(0.001), describe)
    np.testing.assert_array_equal(found[:, -2:], np.ones((12, 2)))
    assert describe.traces == 1


def test_duplicate_paths_are_fine(tmp_path):
    paths = write_images(tmp_path, 3)
    found, _ = extract(np.array([paths[0], paths[1], paths[0]]), 32)
    np.testing.assert_array_equal(found[0], found[2])


def test_no_images():
    with pytest.raises(UserError, match="the list is empty"):
        extract(np.array([], str), 32)


def _spoil(paths):
    """Half a JPEG, text, an empty file and no file, at 3, 4, 7 and 10."""
    data = Path(paths[3]).read_bytes()
    Path(paths[3]).write_bytes(data[: len(data) // 2])
    Path(paths[4]).write_text("no image")
    Path(paths[7]).write_bytes(b"")
    Path(paths[10]).unlink()
    return [3, 4, 7, 10]


@pytest.mark.parametrize("cached", [False, True])
def test_bad_images_are_left_out_and_listed(cached, tmp_path):
    paths = write_images(tmp_path, 30, "jpg")
    # So large that half of its bytes hold more than its header.
    write_image(paths[3], 240, 320)
    expected, _ = extract(paths, 32)
    bad = _spoil(paths)
    shutil.copy(paths[3], tmp_path / "copy.jpg")
    paths = np.append(paths, str(tmp_path / "copy.jpg"))
    bad.append(30)
    cache = FeatureCache(tmp_path / "cache", {"d": "f"}) if cached else None
    with pytest.raises(UserError, match=r"4\.jpg: cannot be decoded"):
        extract(paths, 32)
    found, features = extract(paths, 32, cache=cache, skip_bad=True)
    assert [skipped.index for skipped in features.skipped] == bad
    for (index, path, reason), said in zip(
        features.skipped,
        ["cannot be decoded", "cannot be decoded", "0 bytes", "no such image", "cannot be decoded"],
        strict=True,
    ):
        assert path == paths[index] and reason.startswith(path) and said in reason
    np.testing.assert_array_equal(np.flatnonzero(~features.usable), bad)
    assert not found[bad].any()
    good = np.setdiff1d(np.arange(30), bad)
    np.testing.assert_allclose(found[good], expected[good], atol=1e-4)
    again, _ = extract(paths, 32, cache=cache, skip_bad=True)
    np.testing.assert_allclose(again, found, atol=1e-4)


def test_all_images_bad(tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    for each in (None, cache):
        with pytest.raises(UserError, match=r"none of the 1 images can be read; .*a\.jpg"):
            extract(np.array([str(tmp_path / "a.jpg")]), 32, cache=each, skip_bad=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_descriptor_that_is_not_finite_is_named(value, tmp_path):
    paths = write_images(tmp_path)
    Image.new("RGB", (64, 48), (255, 255, 255)).save(paths[6])

    def describe(pixels):
        mean = tf.reduce_mean(pixels, axis=(1, 2))
        return {"d": tf.where(mean > 254, value, mean)}

    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    for each in (None, cache):
        with pytest.raises(UserError, match=r"[\\/]6\.png: its descriptor 'd' at 32 is not finite"):
            extract(paths, 32, describe, each, skip_bad=True)
    assert (cache.tables(LongSide(32), 1)["d"].rows() < 255).all()


def test_descriptors_must_be_vectors(tmp_path):
    with pytest.raises(ValueError, match="one vector for each image"):
        extract(write_images(tmp_path), 32, lambda pixels: {"d": pixels})
