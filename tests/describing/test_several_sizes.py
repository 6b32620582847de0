"""Several sizes in one pass: each image is decoded once, and gets what it gets size by size."""

import numpy as np
import pytest
import tensorflow as tf

import darac_tf.data.pipeline as pipeline
from darac_tf.data.images import decode_image
from darac_tf.describing.extraction import Extractor
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sizes import Factor, LongSide, as_size
from tests.describing.extraction_helpers import Counting, write_images

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
    found = Extractor(Counting(), paths, batch_pixels, progress=False).extract_all(SIZES, cache)
    assert decoded[0] == len(paths) and list(found) == list(map(as_size, SIZES))
    for size in SIZES:
        alone = Extractor(Counting(), paths, progress=False).extract(size)["d"]
        np.testing.assert_allclose(np.asarray(found[as_size(size)]["d"]), alone, atol=1e-4)
    assert decoded[0] == 4 * len(paths)


def test_what_a_cache_has_is_not_described_again(tmp_path, decoded):
    paths = write_images(tmp_path)
    cache = FeatureCache(tmp_path / "cache", {"d": "f"})
    Extractor(Counting(), paths[:5], progress=False).extract(48, cache)
    Extractor(Counting(), paths[3:7], progress=False).extract(20, cache)
    decoded[0] = 0
    described = Counting()
    extractor = Extractor(described, paths, progress=False)
    found = extractor.extract_all([48, 20], cache)
    # The two that have both sizes are not decoded, the others once.
    assert decoded[0] == len(paths) - 2
    for size in (48, 20):
        alone = Extractor(Counting(), paths, progress=False).extract(size)["d"]
        np.testing.assert_allclose(np.asarray(found[as_size(size)]["d"]), alone, atol=1e-4)
    decoded[0] = 0
    extractor.extract_all([48, 20], cache)
    assert decoded[0] == 0


def test_the_same_size_twice_is_described_once(tmp_path, decoded):
    paths = write_images(tmp_path, 3)
    found = Extractor(Counting(), paths, progress=False).extract_all([32, LongSide(32)])
    assert list(found) == [LongSide(32)] and decoded[0] == 3
