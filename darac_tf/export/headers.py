"""The size of an image from its header, in stock TensorFlow ops, before anything is decoded.

A file of a few kilobytes can stand for gigabytes of pixels, so a server must know the size first.
The kinds are told apart as `tf.io.decode_image` does, by the first bytes.
"""

import tensorflow as tf

from darac_tf.export.gif_frames import gif_size

_NO_IMAGE = (0, 0, 0)


def image_header(data, max_pixels):
    """Height, width and the pixels that decoding takes, of one image file.

    Args:
        data: Scalar string, the file. JPEG, PNG, GIF, BMP or WebP without animation.
        max_pixels: Frames of a GIF are not counted beyond it.

    Returns:
        int64 `(3,)`: height and width as the image decodes, and pixels, those of all frames of a
        GIF, which the decoder holds together. Zeros where it is no image of these kinds.

    Raises:
        InvalidArgumentError: When it runs, for a damaged JPEG header.
    """
    kinds = [
        (_starts(data, b"\xff\xd8\xff"), lambda: _still(*_jpeg(data))),
        (_starts(data, b"\x89PNG\r\n\x1a\n"), lambda: _still(*_png(data))),
        (_starts(data, b"GIF8"), lambda: tf.stack(gif_size(data, max_pixels))),
        (_starts(data, b"BM"), lambda: _still(*_bmp(data))),
        (_starts(data, b"RIFF") & _has(data, 8, b"WEBP"), lambda: _still(*_webp(data))),
    ]
    return tf.case(kinds, default=lambda: tf.constant(_NO_IMAGE, tf.int64))


def _still(height, width):
    return tf.stack([height, width, height * width])


def _jpeg(data):
    shape = tf.cast(tf.io.extract_jpeg_shape(data), tf.int64)
    return shape[0], shape[1]


def _png(data):
    is_header = _has(data, 12, b"IHDR")
    width, height = (_integer(data, at, 4, little_endian=False) for at in (16, 20))
    return _where(is_header, height), _where(is_header, width)


def _bmp(data):
    # A negative height means that rows are stored from the top.
    width, height = (_integer(data, at, 4) for at in (18, 22))
    sign = tf.constant(1 << 31, tf.int64)
    return tf.where(height >= sign, 2 * sign - height, height), _where(width < sign, width)


def _webp(data):
    """Lossy, lossless and extended files keep the size in three ways."""
    chunk = _substring(data, 12, 4)
    packed = _integer(data, 21, 4)
    lossy = tf.stack([_integer(data, at, 2) % 2**14 for at in (28, 26)])
    lossless = tf.stack([packed // 2**14 % 2**14 + 1, packed % 2**14 + 1])
    extended = tf.stack([_integer(data, at, 3) + 1 for at in (27, 24)])
    is_moving = _integer(data, 20, 1) // 2 % 2 == 1
    size = _where(chunk == b"VP8 ", lossy) + _where(chunk == b"VP8L", lossless)
    size += _where((chunk == b"VP8X") & ~is_moving, extended)
    return size[0], size[1]


def _where(condition, value):
    return tf.where(condition, value, tf.zeros_like(value))


def _starts(data, magic):
    return _has(data, 0, magic)


def _has(data, at, magic):
    return _substring(data, at, len(magic)) == magic


def _integer(data, at, length, little_endian=True):
    """An unsigned integer of `length` bytes; 0 beyond the end of the data."""
    numbers = tf.io.decode_raw(_substring(data, at, length), tf.uint8, fixed_length=length)
    shifts = [8 * i for i in range(length)]
    weights = [1 << shift for shift in (shifts if little_endian else reversed(shifts))]
    return tf.reduce_sum(tf.cast(numbers, tf.int64) * tf.constant(weights, tf.int64))


def _substring(data, at, length):
    # `tf.strings.substr` fails where the start lies behind the end.
    start = tf.minimum(at, tf.strings.length(data))
    return tf.strings.substr(data, start, length)
