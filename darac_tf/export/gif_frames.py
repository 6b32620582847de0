"""The frames of a GIF file, walked over without decoding any.

TensorFlow's decoder unpacks all frames before it hands out the first, and a megabyte of file can
hold billions of pixels in frames that nobody asked for.
"""

import tensorflow as tf

_EXTENSION, _IMAGE = 0x21, 0x2C
# A file of 16 MB has this many blocks; the walk takes some microseconds for each.
MAX_BLOCKS = 65_536


def gif_size(data, max_pixels):
    """What decoding a GIF takes.

    Args:
        data: Scalar string, a file that starts with `GIF8`.
        max_pixels: The walk ends where the frames together have more.

    Returns:
        Tuple of int64 scalars: the largest height and width of a frame, which is what
        `tf.io.decode_image` gives the first one, and the pixels of all frames. All are 0 where
        there is no frame, or more than `MAX_BLOCKS` blocks.
    """
    # Zeros behind the end, so that fields of a truncated file can be read; 0 is no block's start.
    content = tf.pad(tf.io.decode_raw(data, tf.uint8), [[0, 16]])
    end = tf.strings.length(data)

    def goes_on(position, in_block, blocks, height, width, pixels):
        del height, width
        at = content[tf.minimum(position, end)]
        is_block = in_block | (at == _EXTENSION) | (at == _IMAGE)
        return (position < end) & is_block & (blocks < MAX_BLOCKS) & (pixels <= max_pixels)

    def step(position, in_block, blocks, height, width, pixels):
        at = tf.cast(content[position], tf.int32)
        is_frame = ~in_block & (at == _IMAGE)
        own_height, own_width = _field(content, position + 7), _field(content, position + 5)
        own_height = tf.where(is_frame, own_height, 0)
        own_width = tf.where(is_frame, own_width, 0)
        # A part of a block is its length and that many bytes; an extension starts with two bytes,
        # a frame with ten, its colours and one more.
        frame = 11 + _table_bytes(content[tf.minimum(position + 9, end)])
        length = tf.where(in_block, at + 1, tf.where(is_frame, frame, 2))
        return (
            position + length,
            ~in_block | (at != 0),
            blocks + 1,
            tf.maximum(height, own_height),
            tf.maximum(width, own_width),
            pixels + own_height * own_width,
        )

    zero = tf.constant(0, tf.int64)
    start = 13 + _table_bytes(content[10])
    first = (start, tf.constant(False), 0, zero, zero, zero)
    _, _, blocks, height, width, pixels = tf.while_loop(goes_on, step, first, parallel_iterations=1)
    is_known = blocks < MAX_BLOCKS
    return tuple(tf.where(is_known, value, zero) for value in (height, width, pixels))


def _field(content, position):
    """Two bytes, the lower one first."""
    low, high = content[position], content[position + 1]
    return tf.cast(low, tf.int64) + 256 * tf.cast(high, tf.int64)


def _table_bytes(flags):
    """Bytes of the colour table that a byte of flags announces."""
    flags = tf.cast(flags, tf.int32)
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags & 7), 0)
