"""Several sizes in one pass: each image is decoded once, and gets what it gets size by size."""

import numpy as np
import pytest
import tensorflow as tf

import darac_tf.data.pipeline as pipeline
from darac_tf.data.images import decode_image
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sizes import Factor, LongSide
from tests.describing.extraction_helpers import extract, extract_all, write_images

SIZES = (48, LongSide(20), Factor(0.5))


@pytest.fixture
def decoded(monkeypatch):
    """Counts decoded images: a list of one number."""
    count = [0]

    def counted(data):
        def note(value):
            count[0] += 1
            return value

        return decode_image(tf.ensure_shape(tf.numpy_function(note, [data], tf.string), []))

    monkeypatch.setattr(pipeline, "decode_image", counted)
    return count


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("batch_pixels", [1, 4000, 10**6])
def test_one_decoding_gives_what_one_size_at_a_time_gives(cached, batch_pixels, tmp_path, decoded):
    paths = write_images(tmp_path)
    cache = FeatureCache(tmp_path / "cache", {"d": "f"}) if cached else None
    found = extract_all(paths, SIZES, cache=cache, batch_pixels=batch_pixels)
    assert decoded[0] == len(paths) and list(found.by_size) == [LongSide(48), *SIZES[1:]]
    for size in SIZES:
        alone, _ = extract(paths, size)
        np.testing.assert_allclose(np.asarray(found[size]["d"]), alone, atol=1e-4)
    assert decoded[0] == 4 * len(paths)


def test_what_a_cache_has_is_not_described_again(tmp_path, decoded):
    paths = write_images(tmp_path)
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    extract(paths[:5], 48, cache=cache)
    extract(paths[3:7], 20, cache=cache)
    decoded[0] = 0
    found = extract_all(paths, [48, 20], cache=cache)
    # The two that have both sizes are not decoded, the others once.
    assert decoded[0] == len(paths) - 2
    for size in (48, 20):
        alone, _ = extract(paths, size)
        np.testing.assert_allclose(np.asarray(found[size]["d"]), alone, atol=1e-4)
    decoded[0] = 0
    extract_all(paths, [48, 20], cache=cache)
    assert decoded[0] == 0


def test_the_same_size_twice_is_described_once(tmp_path, decoded):
    paths = write_images(tmp_path, 3)
    found = extract_all(paths, [32, LongSide(32)])
    assert list(found.by_size) == [LongSide(32)] and decoded[0] == 3
