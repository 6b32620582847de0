"""Region grids inside the graph, and the maximum and average of every region of a grid.

Grids come from the map's dynamic height and width: one trace serves every image size. Places are
computed in float64: float32 moves regions by a cell on 50 of the 4096 map sizes up to 64 x 64.

A level of a grid is a product of row windows and column windows, so that pooling works one axis at
a time: maxima over the rows, then over the columns. The map is read about four times in all, where
cutting out each region would copy it twenty times. Averages of all regions are one matrix product.
"""

from typing import NamedTuple

import tensorflow as tf

_WANTED_OVERLAP = 0.4
_FIXED_LEVELS = 3
PYRAMID_CELLS = (1, 2, 4)
# Regions of each level, for grids with the same number on every map.
LEVELS_OF_GRID = {
    "fixed": (*(level * (level + 1) for level in range(1, _FIXED_LEVELS + 1)), 1),
    "pyramid": tuple(cells**2 for cells in PYRAMID_CELLS),
}
# "long_axis": the index runs along the long axis, from the left of a landscape and from the top of
# a portrait, and then along the short one. The grid of a portrait is that of a landscape turned by
# 90 degrees clockwise, to the cell: each part of a turned picture keeps its region and its weight.
# It is turned and not mirrored, since pictures are. A square map counts as landscape.
# "rows": by rows, then columns, of every map, as in models from before there was a choice.
REGION_ORDERS = ("long_axis", "rows")


class Windows(NamedTuple):
    """Windows along one axis: int32 `start` (inclusive) and `stop` (exclusive), each `(count,)`.

    `size` is a scalar, the size of the largest window.
    """

    start: tf.Tensor
    stop: tf.Tensor
    size: tf.Tensor


class Level(NamedTuple):
    """One level of a grid: a region for each pair of a row window and a column window.

    `order` is int32 `(regions,)`: the place of each region when they are counted by rows, then
    columns; None where they are in that order.
    """

    rows: Windows
    columns: Windows
    order: tf.Tensor | None = None


def rmac_grid(height, width, levels=3):
    """The adaptive grid of R-MAC: 14 regions on a square map, 20 on 4:3 and 16:9.

    Level `l` lays square regions of side `floor(2 * min(height, width) / (l + 1))` in `l` rows and
    `l` columns, with extra ones along the longer side so that neighbours overlap by about 40 %.
    Levels whose side is 0 (on maps of few cells) are empty.

    Args:
        height: Rows of the map, int or scalar int tensor, at least 1.
        width: Columns of the map, likewise.
        levels: Number of scales, at least 1.

    Returns:
        List of `Level`.

    Source: Tolias, Sicre, Jegou, "Particular object retrieval with integral max-pooling of CNN
    activations", 2016, and the authors' public code, which the grid follows to the cell.
    """
    extra = _extra_steps(height, width)
    extra_rows = tf.where(height > width, extra, 0)
    extra_columns = tf.where(width > height, extra, 0)
    grid = []
    for level in range(1, levels + 1):
        side = 2 * tf.minimum(height, width) // (level + 1)
        is_there = tf.cast(side > 0, tf.int32)
        rows = _even_windows(height, side, is_there * (level + extra_rows))
        columns = _even_windows(width, side, is_there * (level + extra_columns))
        grid.append(Level(rows, columns))
    return grid


def fixed_grid(height, width, order="long_axis"):
    """The grid of DARAC: 20 regions and the whole map, in number the same for every map shape.

    Level `l` (1 to 3) has `l + 1` regions along the longer side and `l` along the shorter one
    (2 + 6 + 12), with R-MAC's sides and offsets. The whole map comes last. A side is never below 1
    cell, so that maps of any size have all 21.

    Args and result: as in `rmac_grid`; `order` is one of `REGION_ORDERS`.

    Source: a reconstruction; DARAC (arXiv 1909.09420) gives 21 regions, not where they lie.
    """
    extra_rows = tf.cast(height > width, tf.int32)
    grid = []
    for level in range(1, _FIXED_LEVELS + 1):
        side = tf.maximum(2 * tf.minimum(height, width) // (level + 1), 1)
        rows = _even_windows(height, side, level + extra_rows)
        grid.append(Level(rows, _even_windows(width, side, level + 1 - extra_rows)))
    grid.append(Level(_tiles(height, 1), _tiles(width, 1)))
    return _along_long_axis(grid, height, width) if order == "long_axis" else grid


def pyramid_grid(height, width, order="long_axis"):
    """The spatial pyramid 1 x 1 + 2 x 2 + 4 x 4: 21 regions that tile the map at each level.

    Cell `i` of `n` spans `floor(i * length / n)` to `ceil((i + 1) * length / n)`. Args and result:
    as in `fixed_grid`.
    """
    grid = [Level(_tiles(height, cells), _tiles(width, cells)) for cells in PYRAMID_CELLS]
    return _along_long_axis(grid, height, width) if order == "long_axis" else grid


def boxes(grid):
    """The regions of a grid, in its order: int32 `(regions, 4)` of `(x, y, width, height)`."""
    found = []
    for rows, columns, order in grid:
        y, x = tf.meshgrid(rows.start, columns.start, indexing="ij")
        bottom, right = tf.meshgrid(rows.stop, columns.stop, indexing="ij")
        level = tf.reshape(tf.stack([x, y, right - x, bottom - y], -1), [-1, 4])
        found.append(level if order is None else tf.gather(level, order))
    return tf.concat(found, 0)


def _along_long_axis(grid, height, width):
    """A grid whose portrait is the landscape turned clockwise (`REGION_ORDERS`)."""
    is_portrait = height > width
    turned = []
    for rows, columns, _ in grid:
        # The rows of the landscape, from its top, are columns of the portrait, from its right.
        start = tf.where(is_portrait, width - columns.stop, columns.start)
        stop = tf.where(is_portrait, width - columns.start, columns.stop)
        row_count, column_count = tf.shape(rows.start)[0], tf.shape(columns.start)[0]
        index = tf.range(row_count * column_count)
        by_columns = index % row_count * column_count + index // row_count
        order = tf.where(is_portrait, by_columns, index)
        turned.append(Level(rows, Windows(start, stop, columns.size), order))
    return turned


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


def regional_max(feature_maps, grid):
    """The maximum of each channel in each region.

    Args:
        feature_maps: `(batch, height, width, channels)`.
        grid: List of `Level`.

    Returns:
        `(batch, regions, channels)` in the dtype of `feature_maps`.
    """
    return tf.concat([_level_max(feature_maps, *level) for level in grid], axis=1)


def regional_mean(feature_maps, grid):
    """The average of each channel in each region. Arguments and result as in `regional_max`."""
    shape = tf.shape(feature_maps)
    cells = tf.reshape(feature_maps, [shape[0], shape[1] * shape[2], feature_maps.shape[-1]])
    share = tf.concat([_level_shares(shape[1], shape[2], *level) for level in grid], axis=0)
    return tf.matmul(tf.cast(share, feature_maps.dtype), cells)


def _level_max(feature_maps, rows, columns, order):
    row_maxima = tf.reduce_max(tf.gather(feature_maps, _cells(rows), axis=1), axis=2)
    maxima = tf.reduce_max(tf.gather(row_maxima, _cells(columns), axis=2), axis=3)
    regions = tf.shape(rows.start)[0] * tf.shape(columns.start)[0]
    maxima = tf.reshape(maxima, [tf.shape(maxima)[0], regions, feature_maps.shape[-1]])
    return maxima if order is None else tf.gather(maxima, order, axis=1)


def _cells(windows):
    """`(count, size)` indices of the cells; a smaller window repeats its last cell."""
    cells = windows.start[:, tf.newaxis] + tf.range(windows.size)
    return tf.minimum(cells, windows.stop[:, tf.newaxis] - 1)


def _level_shares(height, width, rows, columns, order):
    """`(regions, height * width)`: what each cell counts for in each region's average."""
    shares = tf.einsum("rh,cw->rchw", _axis_shares(height, rows), _axis_shares(width, columns))
    regions = tf.shape(rows.start)[0] * tf.shape(columns.start)[0]
    shares = tf.reshape(shares, [regions, height * width])
    return shares if order is None else tf.gather(shares, order)


def _axis_shares(length, windows):
    cell = tf.range(length)[tf.newaxis, :]
    start, stop = windows.start[:, tf.newaxis], windows.stop[:, tf.newaxis]
    inside = tf.cast((cell >= start) & (cell < stop), tf.float32)
    return inside / tf.cast(stop - start, tf.float32)
