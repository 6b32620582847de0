"""Which images of a request are decoded and described together, worked out in the graph."""

from typing import NamedTuple

import tensorflow as tf

# Pixels of resized images that are held at a time, 12 bytes each; one image is always taken.
HELD_PIXELS = 16_000_000
# Pixels that pass through the network together: about 25 images at 299, two at 1020. Twice as many
# are hardly faster on a processor, and feature maps take some 250 bytes a pixel.
BATCH_PIXELS = 2_000_000
_MAX_IMAGES = 64


class Windows(NamedTuple):
    """Runs of images that have one shape at each size.

    Attributes:
        order: int32 `(images,)`, their numbers in the order in which they are described.
        starts: int32 `(windows,)`, where in `order` a window begins.
        stops: int32 `(windows,)`, and where it ends, not included.
    """

    order: tf.Tensor
    starts: tf.Tensor
    stops: tf.Tensor


def resized_shapes(headers, sizes):
    """int64 `(images, sizes, 2)` heights and widths after the resizes."""
    planned = [size.planned_size(headers[:, 0], headers[:, 1]) for size in sizes]
    return tf.stack([tf.stack(shape, axis=1) for shape in planned], axis=1)


def plan_windows(shapes, held_pixels=HELD_PIXELS):
    """Puts images of equal shapes together, as many as may be held at a time.

    Args:
        shapes: int64 `(images, sizes, 2)` of `resized_shapes`.
        held_pixels: Most pixels of a window, over all sizes.

    Returns:
        `Windows`; none for no images.
    """
    count = tf.shape(shapes)[0]
    flat = tf.reshape(shapes, [count, 2 * shapes.shape[1]])
    group = _group_numbers(flat)
    order = tf.argsort(group, stable=True)
    group = tf.gather(group, order)
    # The first place of a group is the number of images in the groups before it.
    place = tf.range(count) - tf.searchsorted(group, group, side="left")
    pixels = tf.reduce_sum(tf.reduce_prod(tf.gather(shapes, order), axis=2), axis=1)
    capacity = window_capacity(pixels, held_pixels)
    starts = tf.cast(tf.where(place % capacity == 0)[:, 0], tf.int32)
    return Windows(order, starts, tf.concat([starts[1:], [count]], axis=0)[: tf.size(starts)])


def in_steps(count, step, describe, dimension):
    """Vectors of images that are described a few at a time.

    Args:
        count: int32, number of images.
        step: int32, how many at a time.
        describe: Function of the first image's place to float32 `(images, dimension)`.
        dimension: Of the vectors.

    Returns:
        float32 `(count, dimension)`.
    """
    _, vectors = tf.while_loop(
        lambda start, _: start < count,
        lambda start, before: (start + step, tf.concat([before, describe(start)], axis=0)),
        (0, tf.zeros([0, dimension])),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, dimension])),
        parallel_iterations=1,
    )
    return vectors


def window_capacity(pixels, limit):
    """int32, how many images of so many pixels stay below a limit; at least 1."""
    return tf.cast(tf.clip_by_value(limit // tf.maximum(pixels, 1), 1, _MAX_IMAGES), tf.int32)


def _group_numbers(rows):
    """int32 `(n,)`, the same number for equal rows of an int64 matrix."""
    return tf.raw_ops.UniqueV2(x=rows, axis=[0]).idx
