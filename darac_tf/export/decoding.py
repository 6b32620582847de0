"""Decoding some images of a request without one bad image failing the others, in the graph.

TensorFlow's decoders raise, and a graph has no way to catch. A data set inside the graph has:
`ignore_errors` leaves out the elements whose function raised.
"""

import tensorflow as tf

from darac_tf.data.images import decode_image
from darac_tf.export.headers import image_header

# Images that are decoded at the same time. It bounds the memory of a request of large images.
_AT_ONCE = 4


def read_headers(image_bytes, max_pixels):
    """Height, width and pixels to decode of each image, see `image_header`.

    Args:
        image_bytes: String `(batch,)`.
        max_pixels: See `image_header`.

    Returns:
        int64 `(batch, 3)`; zeros for what is no image.
    """
    count = tf.shape(image_bytes)[0]
    rows, (headers,) = _survivors(
        tf.range(count),
        lambda row: (image_header(image_bytes[row], max_pixels),),
        [tf.TensorSpec([3], tf.int64)],
    )
    return tf.scatter_nd(rows[:, tf.newaxis], headers, tf.stack([count, 3]))


def decode_and_resize(image_bytes, headers, rows, sizes):
    """Decodes images that have one shape at each of the sizes.

    Args:
        image_bytes: String `(batch,)`.
        headers: int64 `(batch, 3)` of `read_headers`.
        rows: int32 `(images,)`, which of them.
        sizes: `LongSide` and `Factor`.

    Returns:
        Tuple of the rows that could be decoded, int32 `(n,)`, and a list of their pixels, float32
        `(n, height, width, 3)` for each size. An image whose pixels are not as many as its header
        says is left out.
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
    """`load` of each row, stacked, without the rows for which it raises.

    Args:
        rows: int32 `(n,)`.
        load: Function of a scalar row to a tuple of tensors, of one shape for all rows.
        specs: `TensorSpec` of each of them.

    Returns:
        Rows that are left, in order, and a list of stacked tensors.
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
    found, *tensors = stacked.with_options(_plain_options()).get_single_element()
    shaped = [
        tf.ensure_shape(tensor, [None, *spec.shape])
        for tensor, spec in zip(tensors, specs, strict=True)
    ]
    return found, shaped


def _plain_options():
    """No rewriting and no tuning of a pipeline that lives for one request."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options
