"""Sizes from headers: the same as decoding gives, and bombs are found before they go off."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data import headers
from darac_tf.data.headers import image_header
from darac_tf.data.images import decode_image
from tests.export import kinds

LIMIT = 100_000_000
MAX_BLOCKS = 6000  # a tenth of what exports walk over
IMAGES = kinds.every_kind()


@pytest.fixture(scope="module")
def header():
    spec = [tf.TensorSpec([], tf.string)]
    traced = tf.function(lambda data: image_header(data, LIMIT), spec, autograph=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headers, "MAX_BLOCKS", MAX_BLOCKS)
        traced.get_concrete_function()
    return traced


@pytest.mark.parametrize("kind", IMAGES)
def test_the_size_is_that_of_the_decoded_image(header, kind):
    height, width, pixels = header(IMAGES[kind]).numpy()
    assert (height, width) == decode_image(IMAGES[kind]).shape[:2] == (40, 56)
    assert pixels == 40 * 56 * (4 if kind == "gif moving" else 1)


def test_what_is_no_image_has_no_size(header):
    for name, data in kinds.no_images().items():
        if name.startswith("truncated"):
            continue  # The header is whole.
        try:
            found = header(data).numpy()
        except tf.errors.InvalidArgumentError:
            found = np.zeros(1)
        assert not found.all(), name


def test_large_sizes(header):
    np.testing.assert_array_equal(header(kinds.png_bomb(20_000)), [20_000, 20_000, 400_000_000])
    bmp = bytearray(IMAGES["bmp"])
    bmp[18:26] = np.array([2**31 - 1, -(2**31)], "<i4").tobytes()
    np.testing.assert_array_equal(header(bytes(bmp))[:2], [2**31, 2**31 - 1])
    bmp[18:26] = np.array([56, -40], "<i4").tobytes()  # rows from the top
    np.testing.assert_array_equal(header(bytes(bmp)), [40, 56, 2240])
    bmp[18:26] = np.array([-56, 40], "<i4").tobytes()
    assert header(bytes(bmp))[1] == 0


def test_all_frames_of_a_gif_count(header):
    data = kinds.gif_bomb(frames=700, side=400)
    assert len(data) < 2_000_000
    height, width, pixels = header(data).numpy()
    # The walk ends at the first frame beyond the limit.
    assert (height, width, pixels) == (400, 400, 400 * 400 * 626)


def test_a_gif_of_too_many_blocks_has_no_size(header):
    data = kinds.encoded(kinds.picture(), "GIF")
    comments = b"\x21\xfe\x01a\x00" * (MAX_BLOCKS // 2)
    start = data.index(b"\x2c\0\0\0\0")
    assert header(data[:start] + comments[:500] + data[start:])[0] == 40
    np.testing.assert_array_equal(header(data[:start] + comments + data[start:]), [0, 0, 0])


def test_damaged_images_decode_to_what_the_header_says_or_not_at_all(header):
    for data in kinds.mutated(60, seed=5):
        try:
            decoded, found = decode_image(data).shape[:2], header(data).numpy()
        except tf.errors.InvalidArgumentError:
            continue
        assert tuple(found[:2]) in (tuple(decoded), (0, 0))
