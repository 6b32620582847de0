"""Photographs that lie are described as their upright copies are, in boxes, caches and lists."""

import numpy as np
import pytest
from PIL import Image

from darac_tf.data.views import ImageList, read_views
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sizes import LongSide
from darac_tf.errors import UserError
from tests.describing.extraction_helpers import extract
from tests.photographs import expected, file_of

# Where each orientation of a JPEG lies in the lists; then a PNG, a WebP and a TIFF.
FORMS = ["JPEG"] * 8 + ["PNG", "WEBP", "TIFF"]
ORIENTATIONS = np.array([*range(1, 9), 6, 8, 5])


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    """Paths of images as cameras store them, and of copies that are upright."""
    folder, paths, copies = tmp_path_factory.mktemp("lying"), [], []
    for number, (form, orientation) in enumerate(zip(FORMS, ORIENTATIONS.tolist(), strict=True)):
        data = file_of(form, "RGB", 60, 96, orientation, seed=number)
        paths.append(folder / f"{number}.{form.lower()}")
        paths[-1].write_bytes(data)
        copies.append(folder / f"{number}-upright.png")
        Image.fromarray(expected(data)).save(copies[-1])
    return np.array(list(map(str, paths))), np.array(list(map(str, copies)))


@pytest.mark.parametrize("is_boxed", [False, True])
def test_as_the_upright_copies(lying, is_boxed):
    paths, copies = lying
    boxes = np.tile([5.0, 9, 50, 40], (len(paths), 1)) if is_boxed else None
    turns = np.arange(len(paths)) % 4 if is_boxed else None
    found, _ = extract(ImageList(paths, boxes, turns), 24)
    same, _ = extract(ImageList(copies, boxes, turns), 24)
    np.testing.assert_allclose(found, same, atol=1e-3)
    stored, _ = extract(ImageList(paths, boxes, turns, upright=False), 24)
    is_same = np.abs(found - stored).max(axis=1) < 1e-3
    assert is_same.tolist() == [number in (0, 10) for number in range(11)]


def test_each_image_by_its_own_wish_and_in_one_cache(lying, tmp_path):
    paths, copies = lying
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    upright = np.arange(len(paths)) % 2 == 0
    mixed, _ = extract(ImageList(paths, upright=upright), 24, cache=cache)
    stored, _ = extract(ImageList(paths, upright=False), 24, cache=cache)
    turned, _ = extract(ImageList(paths), 24, cache=cache)
    np.testing.assert_array_equal(mixed, np.where(upright[:, None], turned, stored))
    np.testing.assert_allclose(turned, extract(copies, 24)[0], atol=1e-3)


def test_decoded_at_a_part_of_the_size(lying, tmp_path):
    paths = lying[0][:8]
    found, _ = extract(paths, LongSide(12), scaled_decoding=True)
    whole, _ = extract(paths, LongSide(12))
    assert np.abs(found - whole).max() < 12
    assert read_views(paths)[0].scaled([LongSide(12)]).ratios.min() > 1


def test_shapes_are_those_of_the_upright_image(lying):
    views, _ = read_views(lying[0])
    assert views.shapes.tolist() == [
        [96, 60] if lies and form != "TIFF" else [60, 96] if form != "TIFF" else [96, 60]
        for form, lies in zip(FORMS, ORIENTATIONS > 4, strict=True)
    ]
    assert views.stored(5) == (60, 96)


def test_too_many_pixels_are_named(lying):
    with pytest.raises(UserError, match=r"0\.jpeg: has 96 x 60 pixels, .*--max_pixels=5759 allows"):
        extract(ImageList(lying[0], max_pixels=5759), 24)
    features, _ = extract(ImageList(lying[0], max_pixels=5760), 24)
    assert len(features) == 11


def test_portraits_that_would_lie_are_said(lying, tmp_path, caplog):
    paths, _ = lying
    read_views(ImageList(paths))
    assert not caplog.messages
    for number, orientation in enumerate((6, 8, 3, 1)):
        data = file_of("JPEG", "RGB", 96, 60, orientation)
        (tmp_path / f"{number}.jpg").write_bytes(data)
    turned = np.array(sorted(map(str, tmp_path.glob("*.jpg"))))
    read_views(ImageList(turned, upright=False))
    assert not caplog.messages
    read_views(ImageList(turned))
    (line,) = caplog.messages
    assert line.startswith("2 of 4 images are stored as portraits") and "0.jpg" in line
