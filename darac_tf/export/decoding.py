"""Decoding some images of a request without one bad image failing the others, in the graph.

A file of a few kilobytes can stand for gigabytes of pixels, so its size is read from the header
first, in stock TensorFlow ops. TensorFlow's decoders raise, and a graph has no way to catch. A data
set inside the graph has: `ignore_errors` leaves out the elements whose function raised.
"""

import tensorflow as tf

from darac_tf.data.images import decode_image

# Images that are decoded at the same time. It bounds the memory of a request of large images.
_AT_ONCE = 4
_EXTENSION, _IMAGE = 0x21, 0x2C
# A file of 16 MB has this many blocks; the walk takes some microseconds for each.
MAX_BLOCKS = 65_536


def read_headers(image_bytes, max_pixels):
    """int64 `(batch, 3)`: `image_header` of each string; zeros for what is no image."""
    count = tf.shape(image_bytes)[0]
    rows, (headers,) = _survivors(
        tf.range(count),
        lambda row: (image_header(image_bytes[row], max_pixels),),
        [tf.TensorSpec([3], tf.int64)],
    )
    return tf.scatter_nd(rows[:, tf.newaxis], headers, tf.stack([count, 3]))


def decode_and_resize(image_bytes, headers, rows, sizes):
    """Decodes images that have one shape at each of the sizes, `LongSide` and `Factor`.

    Of `image_bytes`, strings `(batch,)`, and `headers`, int64 `(batch, 3)` of `read_headers`, those
    at `rows`, int32 `(images,)`. Tuple of the rows that could be decoded, int32 `(n,)`, to the size
    that the header says, and a list of their pixels, float32 `(n, height, width, 3)` for each size.
    """

    def load(row):
        image = decode_image(image_bytes[row])
        shape = tf.shape(image, out_type=tf.int64)[:2]
        as_announced = tf.debugging.Assert(
            tf.reduce_all(shape == headers[row, :2]), ["another size than in the header", shape]
        )
        with tf.control_dependencies([as_announced]):
            image = tf.identity(image)
        return tuple(size.resize(image) for size in sizes)

    pixels = tf.TensorSpec([None, None, 3], tf.float32)
    return _survivors(rows, load, [pixels] * len(sizes))


def _survivors(rows, load, specs):
    """The rows for which `load` does not raise, int32 `(n,)`, and its tensors for them, stacked.

    `load` is a function of a scalar row to a tuple of tensors, of one shape for all rows, `specs`
    their `TensorSpec`.
    """
    loaded = tf.data.Dataset.from_tensor_slices(rows).map(
        lambda row: (row, *load(row)), num_parallel_calls=_AT_ONCE, deterministic=True
    )
    # What follows when nothing is left, since a data set without an element can't be read.
    nothing = [tf.zeros([0], rows.dtype)]
    nothing += [tf.zeros([0, *(side or 1 for side in s.shape)], s.dtype) for s in specs]
    at_least_one = tf.maximum(tf.size(rows, out_type=tf.int64), 1)
    stacked = loaded.ignore_errors().batch(at_least_one)
    stacked = stacked.concatenate(tf.data.Dataset.from_tensors(tuple(nothing))).take(1)
    # No rewriting and no tuning of a pipeline that lives for one request.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    found, *tensors = stacked.with_options(options).get_single_element()
    pairs = zip(tensors, specs, strict=True)
    return found, [tf.ensure_shape(tensor, [None, *spec.shape]) for tensor, spec in pairs]


def image_header(data, max_pixels):
    """Height, width and the pixels that decoding takes, of one image file: int64 `(3,)`.

    The file is a scalar string: JPEG, PNG, GIF, BMP or WebP without animation. Height and width are
    as the image decodes; its pixels are those of all frames of a GIF, which are decoded together,
    and not counted beyond `max_pixels`. Zeros where it is no image of these kinds. A damaged JPEG
    header is an `InvalidArgumentError` when it runs.
    """
    kinds = [
        (_has(data, 0, b"\xff\xd8\xff"), lambda: _still(*_jpeg(data))),
        (_has(data, 0, b"\x89PNG\r\n\x1a\n"), lambda: _still(*_png(data))),
        (_has(data, 0, b"GIF8"), lambda: tf.stack(_gif(data, max_pixels))),
        (_has(data, 0, b"BM"), lambda: _still(*_bmp(data))),
        (_has(data, 0, b"RIFF") & _has(data, 8, b"WEBP"), lambda: _still(*_webp(data))),
    ]
    return tf.case(kinds, default=lambda: tf.zeros([3], tf.int64))


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


def _gif(data, max_pixels):
    """The largest height and width of a frame, and the pixels of all; 0 where there is no frame.

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

    def step(position, in_block, blocks, pixels, height, width):
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
            pixels + own_height * own_width,
            tf.maximum(height, own_height),
            tf.maximum(width, own_width),
        )

    zero = tf.constant(0, tf.int64)
    start = 13 + _table_bytes(content[10])
    first = (start, tf.constant(False), 0, zero, zero, zero)
    _, _, blocks, pixels, height, width = tf.while_loop(goes_on, step, first, parallel_iterations=1)
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
