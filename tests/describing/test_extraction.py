"""Extraction: one trace and one decoding for all shapes and sizes; crops and turns; JPEGs
decoded smaller; bad images left out or named."""

import shutil
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.data import pipeline
from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.data.views import ImageList
from darac_tf.describing.combination import combine_resolutions
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sizes import Factor, LongSide
from darac_tf.engines import FunctionEngine
from darac_tf.errors import UserError
from darac_tf.layers import RMAC
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import share_backbone
from tests.describing.extraction_helpers import (
    Counting,
    extract,
    extract_all,
    halves,
    write_images,
)
from tests.helpers import write_backbone, write_image

SIZES = (48, LongSide(20), Factor(0.5))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_descriptor(write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras"))


def test_many_shapes_in_one_trace_and_in_order(model, tmp_path):
    shapes = [(30 + 3 * i, 81 - 3 * i) for i in range(16)]
    paths = [write_image(tmp_path / f"{i}.png", *s, seed=i) for i, s in enumerate(shapes)]
    engine = FunctionEngine(lambda x: {"d": model(x)})
    together, _ = extract(paths, 64, engine, batch_pixels=10**6)
    alone, _ = extract(paths, 64, engine, batch_pixels=1)
    assert engine.traces == 1
    np.testing.assert_allclose(alone, together, atol=1e-6)
    for path, vector in zip(paths[::8], together[::8], strict=True):
        pixels = resize_long_side(decode_image(Path(path).read_bytes()), 64)
        np.testing.assert_allclose(model(pixels[None])[0], vector, atol=1e-5)


@pytest.mark.parametrize("at_once", [None, 2])
def test_small_batches_are_described_by_as_many_threads_as_an_engine_takes(at_once, tmp_path):
    paths = [write_image(tmp_path / f"{i}.png", 40, 40 + 4 * i, seed=i) for i in range(6)]
    threads = {}

    class Engine:
        traces = 0

        def __call__(self, pixels):
            threads[pixels.shape[1]] = threading.current_thread()
            time.sleep(0.01)
            return {"d": np.asarray(pixels).mean(axis=(1, 2))}

    engine = Engine()
    if at_once:
        engine.at_once = at_once
    rows, _ = extract(paths, 80, engine, batch_pixels=3 * 80 * 80)
    means = [np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in paths]
    np.testing.assert_allclose(rows, means, atol=1.0)
    assert len(threads) == 6
    assert (threading.main_thread() in threads.values()) == (at_once is None)
    assert len(set(threads.values())) <= (at_once or 1)


@pytest.mark.parametrize("turned", [False, True])
def test_crops_and_turns_are_those_of_the_pixels(turned, images):
    """Fails where boxes or turns are ignored, or where the factor is not that of the crop."""
    rng = np.random.default_rng(0)
    boxes = rng.uniform([0, 0, 24, 20], [12, 15, 40, 40], (len(images), 4))
    boxes[5] = np.nan
    turns = np.arange(len(images)) % 4 if turned else None
    sizes = (LongSide(32), Factor(0.5), Factor(1.3, kernel="nearest"))
    found = extract_all(ImageList(images, boxes, turns), sizes)
    whole = extract_all(images, sizes)
    for size in sizes:
        vectors = found[size]["d"]
        for index, path in enumerate(images):
            with Image.open(path) as image:
                seen = image if index == 5 else image.crop(tuple(boxes[index]))
                if turned:
                    seen = seen.rotate(90 * turns[index], expand=True)
                expected = halves(size.resize(np.asarray(seen))[None])[0]
            np.testing.assert_allclose(vectors[index], expected, atol=1e-3)
        assert (np.abs(vectors - whole[size]["d"]).max(axis=1) > 1).sum() >= 11


def test_factors_are_of_the_own_size(images):
    describe = Counting()
    found, _ = extract(images, Factor(2), describe)
    np.testing.assert_array_equal(found[:2, -2:], [[96, 128], [128, 96]])
    found, _ = extract(images, Factor(0.001), describe)
    np.testing.assert_array_equal(found[:, -2:], np.ones((12, 2)))
    assert describe.traces == 1


def test_duplicate_paths_are_fine(images):
    found, _ = extract(images[[0, 1, 0]], 32)
    np.testing.assert_array_equal(found[0], found[2])


def test_no_images():
    with pytest.raises(UserError, match="the list is empty"):
        extract(np.array([], str), 32)


@pytest.fixture(scope="module")
def _counted():
    """Counts decoded images, in a list of one number, in one trace for all tests."""
    count = [0]

    def counted(data):
        def note(value):
            count[0] += 1
            return value

        return decode_image(tf.ensure_shape(tf.numpy_function(note, [data], tf.string), []))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "decode_image", counted)
        load = tf.function(pipeline._load.python_function, autograph=False)
        patch.setattr(pipeline, "_load", load)
        yield count


@pytest.fixture
def decoded(_counted):
    """The images that the test has decoded: a list of one number."""
    _counted[0] = 0
    return _counted


@pytest.fixture(scope="module")
def alone(images):
    """Arrays `(images, 14)` of `images`, each of `SIZES` by itself."""
    return [extract(images, size)[0] for size in SIZES]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("batch_pixels", [1, 4000, 10**6])
def test_one_decoding_gives_what_one_size_at_a_time_gives(
    cached, batch_pixels, images, alone, tmp_path, decoded
):
    cache = FeatureCache(tmp_path / "cache", {"d": "f"}) if cached else None
    found = extract_all(images, SIZES, cache=cache, batch_pixels=batch_pixels)
    assert decoded[0] == len(images) and list(found.by_size) == [LongSide(48), *SIZES[1:]]
    for size, expected in zip(SIZES, alone, strict=True):
        np.testing.assert_allclose(np.asarray(found[size]["d"]), expected, atol=1e-4)
    for sizes, parts in ((None, alone), ([48], alone[:1]), (SIZES[:2], alone[:2])):
        vectors = found.vectors("d", sizes, "gmean", 2)
        np.testing.assert_allclose(vectors[:], combine_resolutions(parts, "gmean", 2), atol=1e-6)


def test_what_a_cache_has_is_not_described_again(images, alone, tmp_path, decoded):
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    extract(images[:5], 48, cache=cache)
    extract(images[3:7], 20, cache=cache)
    assert decoded[0] == 9
    decoded[0] = 0
    found = extract_all(images, [48, 20], cache=cache)
    # The two that have both sizes are not decoded, the others once.
    assert decoded[0] == len(images) - 2
    for size, expected in zip((48, 20), alone[:2], strict=True):
        np.testing.assert_allclose(found[size]["d"][:], expected, atol=1e-4)
    decoded[0] = 0
    extract_all(images, [48, 20], cache=cache)
    assert decoded[0] == 0


def test_the_same_size_twice_is_described_once(images, decoded):
    found = extract_all(images[:3], [32, LongSide(32)])
    assert list(found.by_size) == [LongSide(32)] and decoded[0] == 3


# The names of images for scaled decoding, their height and width.
LARGE = {"a.jpg": (400, 600), "b.jpg": (60, 90), "c.png": (400, 600), "d.jpg": (601, 399)}
CORNER = FunctionEngine(
    # 100 pixels of each image, as a descriptor.
    lambda pixels: {"d": tf.reshape(pixels[:, :20, :20], [tf.shape(pixels)[0], -1])[:, :300]}
)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("large")
    for name, (height, width) in LARGE.items():
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
        small.resize((width, height), Image.BICUBIC).save(folder / name, quality=95)
    return np.array([str(folder / name) for name in LARGE])


def _corners(images, sizes, scaled, cache=None):
    features = extract_all(images, sizes, CORNER, cache, scaled_decoding=scaled)
    return [np.asarray(features[size]["d"]) for size in sizes]


def _differences(images, sizes=(40,), **options):
    full, scaled = (_corners(images, sizes, scaled, **options) for scaled in (False, True))
    return [np.abs(a - b).max(axis=1) for a, b in zip(full, scaled, strict=True)]


@pytest.fixture(scope="module")
def difference(large):
    """What scaled decoding changes at 40 pixels, `(4,)`."""
    return _differences(large)[0]


def test_scaled_decoding_changes_only_large_jpegs_and_little(large, difference):
    found = difference
    assert found[1] == found[2] == 0
    assert 0 < found[0] < 8 and 0 < found[3] < 8
    # The largest size decides for all.
    for found in _differences(large, (40, 310)):
        assert not found.any()


def test_scaled_decoding_changes_turned_images_and_no_cropped_ones(large):
    boxes = np.full((4, 4), np.nan)
    boxes[0] = 10, 20, 590, 390
    (found,) = _differences(ImageList(large, boxes, np.array([1, 1, 1, 1])))
    assert found[0] == found[1] == found[2] == 0 and 0 < found[3] < 8


def test_a_cache_tells_scaled_decoding_apart(large, difference, tmp_path):
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    (cached,) = _differences(large, cache=cache)
    np.testing.assert_allclose(cached, difference, atol=1e-3)
    # Of the larger one it is decoded larger, so that the smaller one is made anew.
    (again, _) = _corners(large, (40, 150), True, cache)
    fresh, _ = _corners(large, (40, 150), True)
    np.testing.assert_allclose(again, fresh, atol=1e-3)


def _spoil(paths):
    """Half a JPEG, text, an empty file and no file, at 3, 4, 7 and 10."""
    data = Path(paths[3]).read_bytes()
    Path(paths[3]).write_bytes(data[: len(data) // 2])
    Path(paths[4]).write_text("no image", encoding="ascii")
    Path(paths[7]).write_bytes(b"")
    Path(paths[10]).unlink()
    return [3, 4, 7, 10]


def test_bad_images_are_left_out_and_listed(tmp_path):
    paths = write_images(tmp_path, 12, "jpg")
    # So large that half of its bytes hold more than its header.
    write_image(paths[3], 240, 320)
    expected, _ = extract(paths, 32)
    bad = _spoil(paths)
    shutil.copy(paths[3], tmp_path / "copy.jpg")
    paths = np.append(paths, str(tmp_path / "copy.jpg"))
    bad.append(12)
    with pytest.raises(UserError, match=r"4\.jpg: cannot be decoded"):
        extract(paths, 32)
    with pytest.raises(UserError, match=r"3\.jpg: cannot be decoded"):
        extract(np.delete(paths, bad[1:]), 32)
    good = np.setdiff1d(np.arange(12), bad)
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    for each in (None, cache, cache):
        found, features = extract(paths, 32, cache=each, skip_bad=True)
        assert [skipped.index for skipped in features.skipped] == bad
        for (index, path, reason), said in zip(
            features.skipped,
            [*["cannot be decoded"] * 2, "0 bytes", "no such image", "cannot be decoded"],
            strict=True,
        ):
            assert path == paths[index] and reason.startswith(path) and said in reason
        np.testing.assert_array_equal(np.flatnonzero(~features.usable), bad)
        assert not found[bad].any()
        np.testing.assert_allclose(found[good], expected[good], atol=1e-4)


def test_all_images_bad(tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    for each in (None, cache):
        with pytest.raises(UserError, match=r"none of the 1 images can be read; .*a\.jpg"):
            extract(np.array([str(tmp_path / "a.jpg")]), 32, cache=each, skip_bad=True)


def test_a_descriptor_that_is_not_finite_is_named(tmp_path):
    paths = write_images(tmp_path)
    Image.new("RGB", (64, 48), (255, 255, 255)).save(paths[6])
    value = tf.Variable(np.nan)

    def describe(pixels):
        mean = tf.reduce_mean(pixels, axis=(1, 2))
        return {"d": tf.where(mean > 254, value, mean)}

    cache, engine = FeatureCache(tmp_path / "cache", {"d": "f"}), FunctionEngine(describe)
    named = r"[\\/]6\.png: its descriptor 'd' at 32 is not finite"
    for each in (np.nan, np.inf):
        value.assign(each)
        for kept in (None, cache):
            with pytest.raises(UserError, match=named):
                extract(paths, 32, engine, kept, skip_bad=True)
        assert (cache.tables(LongSide(32), 1)["d"].rows() < 255).all()


def test_an_image_that_is_too_small_for_the_network_is_named(tmp_path):
    paths = write_images(tmp_path, 3)
    Image.new("RGB", (64, 14)).save(paths[1])
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(4, 8)(inputs))
    describe = FunctionEngine(share_backbone(network, lambda pixels: pixels, {"d": RMAC()}))
    with pytest.raises(UserError, match=r"1\.png: too small for the network at 32"):
        extract(paths, 32, describe)
    _, features = extract(paths, 32, describe, skip_bad=True)
    assert features.usable.tolist() == [True, False, True]


def test_descriptors_must_be_vectors(images):
    with pytest.raises(ValueError, match="one vector for each image"):
        extract(images, 32, lambda pixels: {"d": pixels})


def test_a_cache_tells_kernels_apart(images, tmp_path):
    sizes = [LongSide(16), LongSide(16, "bilinear"), LongSide(16, "nearest")]
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    together = extract_all(images[:3], sizes)
    for size in sizes:
        found, _ = extract(images[:3], size, cache=cache)
        np.testing.assert_array_equal(found, together[size]["d"])
    assert len(list((tmp_path / "cache").iterdir())) == 3
