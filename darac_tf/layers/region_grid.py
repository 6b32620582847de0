"""Region grids inside the graph, from the feature map's dynamic height and width.

The same grids as `layers.regions`, in TensorFlow ops: one trace serves every image size. A level of
a grid is a product of row windows and column windows, which is what lets the pooling work one axis
at a time.
"""

from typing import NamedTuple

import tensorflow as tf

from darac_tf.layers.regions import FIXED_LEVELS, PYRAMID_CELLS

_WANTED_OVERLAP = 0.4


class Windows(NamedTuple):
    """Windows along one axis: int32 `start` (inclusive) and `stop` (exclusive), each `(count,)`.

    `size` is a scalar, the size of the largest window.
    """

    start: tf.Tensor
    stop: tf.Tensor
    size: tf.Tensor


def rmac_grid(height, width, levels=3):
    """R-MAC's adaptive grid (`regions.rmac_regions`).

    Args:
        height: Scalar int tensor, rows of the map.
        width: Scalar int tensor, columns of the map.
        levels: Number of scales.

    Returns:
        One pair of `Windows` (rows, columns) a level. Levels too small for the map are empty.
    """
    extra = _extra_steps(height, width)
    extra_rows = tf.where(height > width, extra, 0)
    extra_columns = tf.where(width > height, extra, 0)
    grid = []
    for level in range(1, levels + 1):
        side = 2 * tf.minimum(height, width) // (level + 1)
        is_there = tf.cast(side > 0, tf.int32)
        rows = _even_windows(height, side, is_there * (level + extra_rows))
        grid.append((rows, _even_windows(width, side, is_there * (level + extra_columns))))
    return grid


def fixed_grid(height, width):
    """DARAC's grid of 20 regions and the whole map (`regions.fixed_regions`)."""
    extra_rows = tf.cast(height > width, tf.int32)
    grid = []
    for level in range(1, FIXED_LEVELS + 1):
        side = tf.maximum(2 * tf.minimum(height, width) // (level + 1), 1)
        rows = _even_windows(height, side, level + extra_rows)
        grid.append((rows, _even_windows(width, side, level + 1 - extra_rows)))
    return [*grid, (_tiles(height, 1), _tiles(width, 1))]


def pyramid_grid(height, width):
    """The 1 x 1 + 2 x 2 + 4 x 4 pyramid (`regions.pyramid_regions`)."""
    return [(_tiles(height, cells), _tiles(width, cells)) for cells in PYRAMID_CELLS]


def _extra_steps(height, width):
    short = tf.cast(tf.minimum(height, width), tf.float64)
    spare = tf.cast(tf.maximum(height, width), tf.float64) - short
    # Two step counts can be equally close to 40 %, and the last bit then decides. Kept from the
    # graph optimiser, which would turn the division by constants into an inexact product.
    gaps = tf.raw_ops.PlaceholderWithDefault(input=tf.range(1, 7, dtype=tf.float64), shape=[6])
    overlap = (short**2 - short * (spare / gaps)) / short**2
    return tf.argmin(tf.abs(overlap - _WANTED_OVERLAP), output_type=tf.int32) + 1


def _even_windows(length, side, count):
    half = tf.floor(tf.cast(side, tf.float64) / 2 - 1)
    gaps = tf.cast(tf.maximum(count - 1, 1), tf.float64)
    shift = tf.where(count > 1, tf.cast(length - side, tf.float64) / gaps, 0.0)
    steps = tf.cast(tf.range(count), tf.float64)
    start = tf.cast(tf.floor(half + steps * shift) - half, tf.int32)
    return Windows(start, start + side, side)


def _tiles(length, cells):
    index = tf.range(cells)
    start = index * length // cells
    stop = -(-(index + 1) * length // cells)
    return Windows(start, stop, tf.reduce_max(stop - start))
