"""Sizes of image files from their headers, in TensorFlow ops, and what TensorFlow decodes rightly.

A file of a few kilobytes can stand for gigabytes of pixels, so its size is known before it is
decoded. TensorFlow takes palettes of a BMP for nothing, transparent pixels of a GIF for black, and
a WebP with animation crashes it (2.21): such files have no size here, and are never given to it.
"""

import tensorflow as tf

from darac_tf.data.exif import has, integer, substring

KINDS = "JPEG, PNG, opaque GIF, BMP of 24 or 32 bits, or WebP without animation"
_EXTENSION, _CONTROL, _IMAGE = 0x21, 0xF9, 0x2C
# A file of 16 MB has this many blocks; the walk takes some microseconds for each.
MAX_BLOCKS = 65_536


def image_header(data, max_pixels):
    """Height, width and the pixels that decoding takes, of one image file: int64 `(3,)`.

    The file is a scalar string: JPEG, PNG, GIF whose first frame is all of it and opaque, BMP of
    24 or 32 bits without compression, or WebP without animation. Height and width are as the image
    decodes; its pixels are those of all frames of a GIF, which are decoded together, and not
    counted beyond `max_pixels`. Zeros where it is no image of these kinds. A damaged JPEG header is
    an `InvalidArgumentError` when it runs.
    """
    is_gif = has(data, 0, b"GIF87a") | has(data, 0, b"GIF89a")
    kinds = [
        (has(data, 0, b"\xff\xd8\xff"), lambda: _still(*_jpeg(data))),
        (has(data, 0, b"\x89PNG\r\n\x1a\n"), lambda: _still(*_png(data))),
        (is_gif, lambda: tf.stack(_gif(data, max_pixels))),
        (has(data, 0, b"BM"), lambda: _still(*_bmp(data))),
        (has(data, 0, b"RIFF") & has(data, 8, b"WEBP"), lambda: _still(*_webp(data))),
    ]
    return tf.case(kinds, default=lambda: tf.zeros([3], tf.int64))


def _still(height, width):
    return tf.stack([height, width, height * width])


def _jpeg(data):
    shape = tf.cast(tf.io.extract_jpeg_shape(data), tf.int64)
    return shape[0], shape[1]


def _png(data):
    is_header = has(data, 12, b"IHDR")
    width, height = (integer(data, at, 4, little_endian=False) for at in (16, 20))
    return _where(is_header, height), _where(is_header, width)


def _bmp(data):
    # A negative height means that rows are stored from the top.
    width, height = (integer(data, at, 4) for at in (18, 22))
    bits, compression = integer(data, 28, 2), integer(data, 30, 4)
    is_plain = ((bits == 24) | (bits == 32)) & (compression == 0) & (integer(data, 14, 4) >= 40)
    sign = tf.constant(1 << 31, tf.int64)
    width = _where(is_plain, width)
    return tf.where(height >= sign, 2 * sign - height, height), _where(width < sign, width)


def _webp(data):
    """Lossy, lossless and extended files keep the size in three ways."""
    chunk = substring(data, 12, 4)
    packed = integer(data, 21, 4)
    lossy = tf.stack([integer(data, at, 2) % 2**14 for at in (28, 26)])
    lossless = tf.stack([packed // 2**14 % 2**14 + 1, packed % 2**14 + 1])
    extended = tf.stack([integer(data, at, 3) + 1 for at in (27, 24)])
    is_moving = integer(data, 20, 1) // 2 % 2 == 1
    size = _where(chunk == b"VP8 ", lossy) + _where(chunk == b"VP8L", lossless)
    size += _where((chunk == b"VP8X") & ~is_moving, extended)
    return size[0], size[1]


def _where(condition, value):
    return tf.where(condition, value, tf.zeros_like(value))


def _gif(data, max_pixels):
    """Height and width, and the pixels of all frames; 0 where the first frame isn't all there is.

    `tf.io.decode_image` unpacks all frames before it hands out the first, and a megabyte of file
    can hold billions of pixels in them. So they are walked over without decoding any, until they
    have more than `max_pixels`. Beyond `MAX_BLOCKS` blocks all is 0.
    """
    # Zeros behind the end, so that fields of a truncated file can be read; 0 is no block's start.
    content = tf.pad(tf.io.decode_raw(data, tf.uint8), [[0, 16]])
    end = tf.strings.length(data)

    def goes_on(position, in_block, blocks, pixels, *_):
        at = content[tf.minimum(position, end)]
        is_block = in_block | (at == _EXTENSION) | (at == _IMAGE)
        return (position < end) & is_block & (blocks < MAX_BLOCKS) & (pixels <= max_pixels)

    def step(position, in_block, blocks, pixels, height, width, is_whole):
        at = tf.cast(content[position], tf.int32)
        is_frame = ~in_block & (at == _IMAGE)
        own_height, own_width = _field(content, position + 7), _field(content, position + 5)
        own_height = tf.where(is_frame, own_height, 0)
        own_width = tf.where(is_frame, own_width, 0)
        # Of the first frame: its place, and whether one of its colours is transparent.
        is_moved = is_frame & (_field(content, position + 1) + _field(content, position + 3) > 0)
        is_control = (at == _EXTENSION) & (content[position + 1] == _CONTROL)
        is_clear = ~in_block & is_control & (content[position + 3] % 2 == 1)
        # A part of a block is its length and that many bytes; an extension starts with two bytes,
        # a frame with ten, its colours and one more.
        frame = 11 + _table_bytes(content[tf.minimum(position + 9, end)])
        length = tf.where(in_block, at + 1, tf.where(is_frame, frame, 2))
        return (
            position + length,
            ~in_block | (at != 0),
            blocks + 1,
            pixels + own_height * own_width,
            tf.maximum(height, own_height),
            tf.maximum(width, own_width),
            is_whole & ~((pixels == 0) & (is_moved | is_clear)),
        )

    zero = tf.constant(0, tf.int64)
    start = 13 + _table_bytes(content[10])
    first = (start, tf.constant(False), 0, zero, zero, zero, tf.constant(True))
    last = tf.while_loop(goes_on, step, first, parallel_iterations=1)
    _, _, blocks, pixels, height, width, is_whole = last
    is_known = (blocks < MAX_BLOCKS) & is_whole
    is_known &= (width == _field(content, 6)) & (height == _field(content, 8))
    return tuple(tf.where(is_known, value, zero) for value in (height, width, pixels))


def _field(content, position):
    """Two bytes, the lower one first."""
    low, high = content[position], content[position + 1]
    return tf.cast(low, tf.int64) + 256 * tf.cast(high, tf.int64)


def _table_bytes(flags):
    """Bytes of the colour table that a byte of flags announces."""
    flags = tf.cast(flags, tf.int32)
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags & 7), 0)
