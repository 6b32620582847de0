"""The region grids, as plain NumPy: the readable reference for the graph version in `layers`.

A region is a row `(x, y, width, height)` in cells of the feature map, 0-based. The order is level,
then row of the grid, then column; grids with a weight for each region have it along the long axis
(`REGION_ORDERS`). Everything is computed in float64: float32 moves regions by a cell on 50 of the
4096 map sizes up to 64 x 64.
"""

import numpy as np

from darac_tf.errors import UserError

_WANTED_OVERLAP = 0.4
_CANDIDATE_STEPS = np.arange(2, 8)
FIXED_LEVELS = 3
PYRAMID_CELLS = (1, 2, 4)
# Regions of each level, for grids with the same number on every map.
LEVELS_OF_GRID = {
    "fixed": (*(level * (level + 1) for level in range(1, FIXED_LEVELS + 1)), 1),
    "pyramid": tuple(cells**2 for cells in PYRAMID_CELLS),
}
# "long_axis": the index runs along the long axis, from the left of a landscape and from the top of
# a portrait, and then along the short one. The grid of a portrait is that of a landscape turned by
# 90 degrees clockwise, to the cell: each part of a turned picture keeps its region and its weight.
# It is turned and not mirrored, since pictures are. A square map counts as landscape.
# "rows": by rows, then columns, of every map, as in models from before there was a choice.
REGION_ORDERS = ("long_axis", "rows")


def rmac_regions(height, width, levels=3):
    """The adaptive grid of R-MAC: 14 regions on a square map, 20 on 4:3 and 16:9.

    Level `l` lays square regions of side `floor(2 * min(height, width) / (l + 1))` in `l` rows and
    `l` columns, with extra ones along the longer side so that neighbours overlap by about 40 %.
    Levels whose side is 0 (on maps of few cells) are skipped.

    Args:
        height: Rows of the feature map, at least 1.
        width: Columns of the feature map, at least 1.
        levels: Number of scales.

    Returns:
        int64 array `(regions, 4)` of `(x, y, width, height)`.

    Raises:
        UserError: If a size or `levels` is below 1.

    Source: Tolias, Sicre, Jegou, "Particular object retrieval with integral max-pooling of CNN
    activations", 2016, and the authors' public code, which the grid follows to the cell.
    """
    _check_sizes(height, width)
    if levels < 1:
        raise UserError(f"levels must be at least 1. Received: levels={levels}")
    extra = _extra_steps(height, width)
    extra_rows, extra_columns = (extra, 0) if height > width else (0, extra)
    found = []
    for level in range(1, levels + 1):
        side = 2 * min(height, width) // (level + 1)
        if side > 0:
            rows = _starts(height, side, level + extra_rows)
            found.append(_square_regions(rows, _starts(width, side, level + extra_columns), side))
    return np.concatenate(found)


def fixed_regions(height, width, order="long_axis"):
    """The grid of DARAC: 20 regions and the whole map, in number the same for every map shape.

    Level `l` (1 to 3) has `l + 1` regions along the longer side and `l` along the shorter one
    (2 + 6 + 12), with R-MAC's sides and offsets; a square map counts as landscape. The whole map
    comes last. A side is never below 1 cell, so that maps of any size have all 21.

    Args:
        height: Rows of the feature map, at least 1.
        width: Columns of the feature map, at least 1.
        order: One of `REGION_ORDERS`.

    Returns:
        int64 array `(21, 4)` of `(x, y, width, height)`.

    Raises:
        UserError: If a size is below 1.

    Source: a reconstruction; DARAC (arXiv 1909.09420) gives 21 regions, not where they lie.
    """
    _check_sizes(height, width)
    if order == "long_axis" and height > width:
        return _turned(fixed_regions(width, height), width)
    extra_rows, extra_columns = (1, 0) if height > width else (0, 1)
    found = []
    for level in range(1, FIXED_LEVELS + 1):
        side = max(2 * min(height, width) // (level + 1), 1)
        rows = _starts(height, side, level + extra_rows)
        found.append(_square_regions(rows, _starts(width, side, level + extra_columns), side))
    return np.concatenate([*found, [[0, 0, width, height]]])


def pyramid_regions(height, width, order="long_axis"):
    """The spatial pyramid 1 x 1 + 2 x 2 + 4 x 4: 21 regions that tile the map at each level.

    Cell `i` of `n` spans `floor(i * length / n)` to `ceil((i + 1) * length / n)`.

    Args:
        height: Rows of the feature map, at least 1.
        width: Columns of the feature map, at least 1.
        order: One of `REGION_ORDERS`.

    Returns:
        int64 array `(21, 4)` of `(x, y, width, height)`.

    Raises:
        UserError: If a size is below 1.
    """
    _check_sizes(height, width)
    if order == "long_axis" and height > width:
        return _turned(pyramid_regions(width, height), width)
    found = []
    for cells in PYRAMID_CELLS:
        index = np.arange(cells)
        (top, left), (bottom, right) = (
            ((index * height) // cells, (index * width) // cells),
            (-((-(index + 1) * height) // cells), -((-(index + 1) * width) // cells)),
        )
        y, x = np.repeat(top, cells), np.tile(left, cells)
        found.append(np.stack([x, y, np.tile(right, cells) - x, np.repeat(bottom, cells) - y], 1))
    return np.concatenate(found)


def _check_sizes(height, width):
    if height < 1 or width < 1:
        raise UserError(
            "a feature map needs at least one row and one column. "
            f"Received: height={height}, width={width}"
        )


def _turned(landscape, width):
    """Regions of a landscape map, turned clockwise onto a portrait map of `width` columns."""
    x, y, w, h = landscape.T
    return np.stack([width - y - h, x, h, w], axis=1)


def _extra_steps(height, width):
    """Extra regions along the longer side: those that bring the overlap closest to 40 %."""
    if height == width:
        return 0
    short = float(min(height, width))
    shift = (max(height, width) - short) / (_CANDIDATE_STEPS - 1)
    overlap = (short**2 - short * shift) / short**2
    return int(np.argmin(np.abs(overlap - _WANTED_OVERLAP))) + 1


def _starts(length, side, count):
    """First cells of `count` windows of `side` cells, spread evenly over `length` cells."""
    half = np.floor(side / 2 - 1)
    shift = (length - side) / (count - 1) if count > 1 else 0.0
    return (np.floor(half + np.arange(count) * shift) - half).astype(np.int64)


def _square_regions(rows, columns, side):
    x, y = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
    return np.stack([x, y, np.full_like(x, side), np.full_like(x, side)], axis=1)
