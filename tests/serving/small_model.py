"""A tiny SavedModel with the signatures of an exported one, written without darac_tf.

    python -m tests.serving.small_model FOLDER

writes FOLDER/1. Its vector is the unit vector of mean colours in the cells of a 4 x 4 grid: 48
numbers that differ from image to image.
"""

import functools
import sys
from pathlib import Path

import tensorflow as tf

DIMENSION = 48
# Pixels that an image may declare: a test of huge declared sizes must not need gigabytes.
MOST_PIXELS = 1 << 22


def _number(data, start, length, is_big_endian):
    """An unsigned number within the bytes of a scalar string; InvalidArgument beyond its end."""
    values = tf.cast(tf.io.decode_raw(tf.strings.substr(data, start, length), tf.uint8), tf.int64)
    values = tf.ensure_shape(values, [length])
    shifts = [8 * (length - 1 - i if is_big_endian else i) for i in range(length)]
    return tf.reduce_sum(tf.bitwise.left_shift(values, tf.constant(shifts, tf.int64)))


def _pixels(data):
    """What the header declares, height times width."""
    start = tf.strings.substr(data, 0, tf.minimum(tf.strings.length(data), 4))

    def product(places, length, is_big_endian):
        return lambda: tf.multiply(*(_number(data, p, length, is_big_endian) for p in places))

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(data, tf.int64)
        return shape[0] * shape[1]

    return tf.case(
        [
            (start == b"\x89PNG", product((16, 20), 4, True)),
            (start == b"GIF8", product((6, 8), 2, False)),
            (tf.strings.substr(start, 0, 2) == b"BM", product((18, 22), 4, False)),
        ],
        default=of_jpeg,
    )


def _vector(pixels):
    """uint8 `(height, width, 3)` to a unit vector `(48,)`."""
    cells = tf.image.resize(tf.cast(pixels, tf.float32), [4, 4], antialias=True)
    return tf.math.l2_normalize(tf.reshape(cells, [DIMENSION]) - 120.0)


def _described(data):
    pixels = _pixels(data)
    small = tf.debugging.Assert((pixels > 0) & (pixels <= MOST_PIXELS), ["too many pixels"])
    with tf.control_dependencies([small]):
        image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return _vector(tf.ensure_shape(image, [None, None, 3]))


def _survivors(image_bytes):
    """The rows of the images that can be described, and their vectors."""
    count = tf.size(image_bytes)
    rows = tf.data.Dataset.from_tensor_slices(tf.range(count))
    tried = rows.map(lambda row: (row, _described(image_bytes[row]))).ignore_errors()
    # A data set without an element can't be read.
    nothing = tf.zeros([0], tf.int32), tf.zeros([0, DIMENSION])
    found = tried.batch(tf.maximum(tf.cast(count, tf.int64), 1))
    found = found.concatenate(tf.data.Dataset.from_tensors(nothing)).take(1)
    # Each request makes the data set anew, which would be optimised each time.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return found.with_options(options).get_single_element()


class SmallModel(tf.Module):
    """The contract's three signatures; `sign` tells one version's vectors from another's."""

    def __init__(self):
        super().__init__()
        self.sign = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
    def serving_default(self, image_bytes):
        spec = tf.TensorSpec([DIMENSION], tf.float32)
        return {
            "descriptor": self.sign * tf.map_fn(_described, image_bytes, fn_output_signature=spec)
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
    def robust(self, image_bytes):
        rows, vectors = _survivors(image_bytes)
        place, count = rows[:, tf.newaxis], tf.size(image_bytes)
        vectors = tf.scatter_nd(place, vectors, [count, DIMENSION])
        valid = tf.scatter_nd(place, tf.ones_like(rows, tf.bool), [count])
        return {"descriptor": self.sign * vectors, "valid": valid}

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "pixels")], autograph=False
    )
    def pixels(self, pixels):
        spec = tf.TensorSpec([DIMENSION], tf.float32)
        return {"descriptor": self.sign * tf.map_fn(_vector, pixels, fn_output_signature=spec)}


@functools.cache
def _model():
    """Traced once for all versions."""
    return SmallModel()


def write_small_model(folder, version=1, sign=1.0):
    """Writes `folder/<version>`; returns `folder`."""
    model = _model()
    model.sign.assign(sign)
    names = ("serving_default", "robust", "pixels")
    signatures = {name: getattr(model, name) for name in names}
    tf.saved_model.save(model, str(Path(folder) / str(version)), signatures=signatures)
    return Path(folder)


if __name__ == "__main__":
    print(write_small_model(sys.argv[1]))
