"""Region grids inside the graph, and the maximum and average of every region of a grid.

Grids come from the map's dynamic height and width: one trace serves every image size. Where a place
is no whole number it is computed in float64: float32 moves R-MAC's regions by a cell on 50 of the
4096 map sizes up to 64 x 64.

A level of a grid is a product of row windows and column windows, so that pooling works one axis at
a time: maxima over the rows, then over the columns. The map is read about four times in all, where
cutting out each region would copy it twenty times. Averages of all regions are one matrix product.

Grids of a fixed number of regions are laid out on the map with its long axis along the columns: a
portrait is transposed first, and how many windows each axis has is known before any image is seen.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from darac_tf.errors import UserError

_WANTED_OVERLAP = 0.4
PYRAMID_CELLS = (1, 2, 4)
# Windows along the short and along the long axis of each level, for grids with the same number of
# regions on every map. The last of the fixed grid is the whole map.
_WINDOWS_OF_GRID = {
    "fixed": ((1, 2, 3, 1), (2, 3, 4, 1)),
    "pyramid": (PYRAMID_CELLS, PYRAMID_CELLS),
}
# Regions of each level.
LEVELS_OF_GRID = {
    name: tuple(int(count) for count in np.multiply(*windows))
    for name, windows in _WINDOWS_OF_GRID.items()
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

    They are counted by rows, then columns.
    """

    rows: Windows
    columns: Windows


class Grid(NamedTuple):
    """Regions of a map, level by level.

    `is_transposed`, a scalar bool, says whether rows and columns are those of the transposed map;
    None if never. `order`, int `(regions,)`, has the place of each region in the levels; None where
    they are in order.
    """

    levels: list[Level]
    is_transposed: tf.Tensor | None = None
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
        `Grid`.

    Raises:
        UserError: If `levels` is below 1, or a size that is known before the graph runs.

    Source: Tolias, Sicre, Jegou, "Particular object retrieval with integral max-pooling of CNN
    activations", 2016, and the authors' public code, which the grid follows to the cell.
    """
    height, width = _sizes(height, width)
    if levels < 1:
        raise UserError(f"`levels` must be at least 1. Received: levels={levels}")
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
    return Grid(grid)


def fixed_grid(height, width, order="long_axis"):
    """The grid of DARAC: 20 regions and the whole map, in number the same for every map shape.

    Level `l` (1 to 3) has `l + 1` regions along the longer side and `l` along the shorter one
    (2 + 6 + 12), with R-MAC's sides and offsets. The whole map comes last. A side is never below 1
    cell, so that maps of any size have all 21.

    Args and result: as in `rmac_grid`; `order` is one of `REGION_ORDERS`.

    Source: a reconstruction; DARAC (arXiv 1909.09420) gives 21 regions, not where they lie.
    """
    height, width = _sizes(height, width)
    short, long = tf.minimum(height, width), tf.maximum(height, width)
    sides = tf.maximum(2 * short // np.array([2, 3, 4], np.int32), 1)

    def windows(length, counts):
        """Of each level: `side` cells, in even steps from one end of the axis to the other."""
        level, index = _places(counts)
        all_sides = tf.concat([sides, [length]], 0)
        side, last = tf.gather(all_sides, level), np.maximum(np.array(counts)[level] - 1, 1)
        # R-MAC's `floor(half + index * shift) - half`, in whole numbers.
        start = index * (length - side) // last.astype(np.int32)
        return start, start + side, tf.unstack(all_sides)

    return _fixed_number("fixed", windows, short, long, height > width, order)


def pyramid_grid(height, width, order="long_axis"):
    """The spatial pyramid 1 x 1 + 2 x 2 + 4 x 4: 21 regions that tile the map at each level.

    Cell `i` of `n` spans `floor(i * length / n)` to `ceil((i + 1) * length / n)`. Args and result:
    as in `fixed_grid`.
    """
    height, width = _sizes(height, width)
    short, long = tf.minimum(height, width), tf.maximum(height, width)

    def windows(length, counts):
        level, index = _places(counts)
        cells = np.array(counts, np.int32)[level]
        start, stop = index * length // cells, -(-(index + 1) * length // cells)
        return start, stop, [tf.reduce_max(size) for size in tf.split(stop - start, counts)]

    return _fixed_number("pyramid", windows, short, long, height > width, order)


def _sizes(height, width):
    """Rows and columns as int32, whatever integers they are; refuses an empty map."""
    sizes = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    known = [tf.get_static_value(size) for size in sizes]
    if any(size is not None and size < 1 for size in known):
        rows, columns = known
        raise UserError(f"A feature map needs at least 1 x 1 cells. Received: {rows} x {columns}")
    return sizes


def boxes(grid):
    """The regions of a grid, in its order: int32 `(regions, 4)` of `(x, y, width, height)`."""
    levels = []
    for rows, columns in grid.levels:
        y, x = tf.meshgrid(rows.start, columns.start, indexing="ij")
        bottom, right = tf.meshgrid(rows.stop, columns.stop, indexing="ij")
        levels.append(tf.reshape(tf.stack([x, y, right - x, bottom - y], -1), [-1, 4]))
    result = tf.concat(levels, 0)
    if grid.is_transposed is not None:
        result = tf.where(grid.is_transposed, tf.gather(result, [1, 0, 3, 2], axis=1), result)
    return _in_order(result, grid, axis=0)


def _fixed_number(name, windows, short, long, is_portrait, order):
    """The `Grid` of a name in `_WINDOWS_OF_GRID`.

    `windows(length, counts)` are the starts and stops of all windows along an axis, and the largest
    size of each level.
    """
    short_counts, long_counts = _WINDOWS_OF_GRID[name]
    start, stop, sizes = windows(short, short_counts)
    region_order = None
    if order == "long_axis":
        # The rows of a landscape, from its top, are columns of the portrait, from its right.
        start, stop = (
            tf.where(is_portrait, short - stop, start),
            tf.where(is_portrait, short - start, stop),
        )
    else:
        region_order = tf.where(is_portrait, *_orders_by_rows(short_counts, long_counts))
    rows = _by_level(start, stop, sizes, short_counts)
    columns = _by_level(*windows(long, long_counts), long_counts)
    levels = [Level(*pair) for pair in zip(rows, columns, strict=True)]
    return Grid(levels, is_portrait, region_order)


def _places(counts):
    """Level, and index in its level, of each window: int32 arrays."""
    level = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return level, np.concatenate([np.arange(count, dtype=np.int32) for count in counts])


def _by_level(start, stop, sizes, counts):
    """`Windows` of each level."""
    starts, stops = tf.split(start, counts), tf.split(stop, counts)
    return [Windows(*windows) for windows in zip(starts, stops, sizes, strict=True)]


def _orders_by_rows(short_counts, long_counts):
    """Places of the regions by rows, then columns: of a transposed portrait, and of a landscape."""
    transposed, first = [], 0
    for short, long in zip(short_counts, long_counts, strict=True):
        transposed.append(first + np.arange(short * long).reshape(short, long).T.ravel())
        first += short * long
    return np.concatenate(transposed), np.arange(first)


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


def regional_max(feature_maps, grid):
    """The maximum of each channel in each region of a `Grid`.

    `(batch, height, width, channels)` to `(batch, regions, channels)` in the same dtype.
    """
    feature_maps = _transposed(feature_maps, grid)
    maxima = tf.concat([_level_max(feature_maps, *level) for level in grid.levels], axis=1)
    return _in_order(maxima, grid, axis=1)


def regional_mean(feature_maps, grid):
    """The average of each channel in each region. Arguments and result as in `regional_max`."""
    feature_maps = _transposed(feature_maps, grid)
    shape = tf.shape(feature_maps)
    cells = tf.reshape(feature_maps, [shape[0], shape[1] * shape[2], feature_maps.shape[-1]])
    of_rows = _axis_shares(shape[1], [level.rows for level in grid.levels])
    of_columns = _axis_shares(shape[2], [level.columns for level in grid.levels])
    shares = [
        tf.reshape(tf.einsum("rh,cw->rchw", *pair), [-1, shape[1] * shape[2]])
        for pair in zip(of_rows, of_columns, strict=True)
    ]
    shares = _in_order(tf.concat(shares, axis=0), grid, axis=0)
    return tf.matmul(tf.cast(shares, feature_maps.dtype), cells)


def _transposed(feature_maps, grid):
    if grid.is_transposed is None:
        return feature_maps
    axes = tf.where(grid.is_transposed, [0, 2, 1, 3], [0, 1, 2, 3])
    channels = feature_maps.shape[-1]
    return tf.ensure_shape(tf.transpose(feature_maps, axes), [None, None, None, channels])


def _in_order(regions, grid, axis):
    return regions if grid.order is None else tf.gather(regions, grid.order, axis=axis)


def _level_max(feature_maps, rows, columns):
    row_maxima = tf.reduce_max(tf.gather(feature_maps, _cells(rows), axis=1), axis=2)
    maxima = tf.reduce_max(tf.gather(row_maxima, _cells(columns), axis=2), axis=3)
    regions = _count(rows) * _count(columns)
    return tf.reshape(maxima, [tf.shape(maxima)[0], regions, feature_maps.shape[-1]])


def _count(windows):
    """Their number, known before the map is where it is fixed."""
    count = windows.start.shape[0]
    return tf.shape(windows.start)[0] if count is None else count


def _cells(windows):
    """`(count, size)` indices of the cells; a smaller window repeats its last cell."""
    cells = windows.start[:, tf.newaxis] + tf.range(windows.size)
    return tf.minimum(cells, windows.stop[:, tf.newaxis] - 1)


def _axis_shares(length, windows):
    """For each of a list of windows, `(count, length)`: what each cell counts for in an average."""
    cell = tf.range(length)
    start = tf.concat([each.start for each in windows], 0)[:, tf.newaxis]
    stop = tf.concat([each.stop for each in windows], 0)[:, tf.newaxis]
    inside = tf.cast((cell >= start) & (cell < stop), tf.float32)
    shares = inside / tf.cast(stop - start, tf.float32)
    return tf.split(shares, [_count(each) for each in windows])
