"""The region grids of `layers.region_pooling` as plain NumPy: their readable reference.

A region is a row `(x, y, width, height)` in cells of the feature map, 0-based. The order is level,
then row of the grid, then column; grids with a weight for each region have it along the long axis
(`region_pooling.REGION_ORDERS`).
"""

import numpy as np

_WANTED_OVERLAP = 0.4
_CANDIDATE_STEPS = np.arange(2, 8)
_PYRAMID_CELLS = (1, 2, 4)


def rmac_regions(height, width, levels=3):
    """`region_pooling.rmac_grid`, int64 `(regions, 4)`."""
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
    """`region_pooling.fixed_grid`, int64 `(21, 4)`."""
    if order == "long_axis" and height > width:
        return _turned(fixed_regions(width, height), width)
    extra_rows, extra_columns = (1, 0) if height > width else (0, 1)
    found = []
    for level in range(1, 4):
        side = max(2 * min(height, width) // (level + 1), 1)
        rows = _starts(height, side, level + extra_rows)
        found.append(_square_regions(rows, _starts(width, side, level + extra_columns), side))
    return np.concatenate([*found, [[0, 0, width, height]]])


def pyramid_regions(height, width, order="long_axis"):
    """`region_pooling.pyramid_grid`, int64 `(21, 4)`."""
    if order == "long_axis" and height > width:
        return _turned(pyramid_regions(width, height), width)
    found = []
    for cells in _PYRAMID_CELLS:
        index = np.arange(cells)
        (top, left), (bottom, right) = (
            ((index * height) // cells, (index * width) // cells),
            (-((-(index + 1) * height) // cells), -((-(index + 1) * width) // cells)),
        )
        y, x = np.repeat(top, cells), np.tile(left, cells)
        found.append(np.stack([x, y, np.tile(right, cells) - x, np.repeat(bottom, cells) - y], 1))
    return np.concatenate(found)


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
