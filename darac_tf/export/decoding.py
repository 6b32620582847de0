"""Decoding some images of a request without one bad image failing the others, in the graph.

TensorFlow's decoders raise, and a graph has no way to catch. A data set inside the graph has:
`ignore_errors` leaves out the elements whose function raised.
"""

import tensorflow as tf

from darac_tf.data.exif import is_lying, orientation_of, turn_upright
from darac_tf.data.headers import image_header
from darac_tf.data.images import decode_in_graph

# Images that are decoded at the same time. It bounds the memory of a request of large images.
_AT_ONCE = 4


def read_headers(image_bytes, max_pixels, is_upright=True):
    """int64 `(batch, 4)`: `image_header` of each string, and how it is turned upright.

    Height and width are those after that. All is 0 for what is no image. Where images are left as
    stored, each has the orientation 1.
    """

    def load(row):
        data = image_bytes[row]
        height, width, pixels = tf.unstack(image_header(data, max_pixels))
        orientation = orientation_of(data) if is_upright else tf.constant(1)
        sides = tf.where(is_lying(orientation), [width, height], [height, width])
        header = [*tf.unstack(sides), pixels, tf.cast(orientation, tf.int64)]
        return (tf.stack(header) * tf.cast(pixels > 0, tf.int64),)

    count = tf.shape(image_bytes)[0]
    rows, (headers,) = _survivors(tf.range(count), load, [tf.TensorSpec([4], tf.int64)])
    return tf.scatter_nd(rows[:, tf.newaxis], headers, tf.stack([count, 4]))


def decode_and_resize(image_bytes, headers, rows, sizes):
    """Decodes images that have one shape at each of the sizes, `LongSide` and `Factor`.

    Of `image_bytes`, strings `(batch,)`, and `headers`, int64 `(batch, 4)` of `read_headers`, those
    at `rows`, int32 `(images,)`. Tuple of the rows that could be decoded, int32 `(n,)`, to the size
    that the header says, and a list of their pixels, float32 `(n, height, width, 3)` for each size.
    """

    def load(row):
        orientation = tf.cast(headers[row, 3], tf.int32)
        image = turn_upright(decode_in_graph(image_bytes[row]), orientation)
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
