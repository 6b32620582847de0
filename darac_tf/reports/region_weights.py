"""The learned weights of DARAC's regions, as numbers and as a table."""

from typing import NamedTuple

import numpy as np

from darac_tf.errors import UserError
from darac_tf.layers import DARAC
from darac_tf.layers.region_pooling import PYRAMID_CELLS, boxes, fixed_grid, pyramid_grid
from darac_tf.models.descriptor import POOLING_LAYER
from darac_tf.reports import markdown

_GRIDS = {"fixed": fixed_grid, "pyramid": pyramid_grid}
# Level names, and regions in each, in the order of the grid.
_LEVELS_OF = {
    "fixed": {"level 1": 2, "level 2": 6, "level 3": 12, "whole map": 1},
    "pyramid": {f"{cells} x {cells}": cells**2 for cells in PYRAMID_CELLS},
}


class RegionWeights(NamedTuple):
    """The weights of a DARAC.

    Attributes:
        grid: `"fixed"` or `"pyramid"`.
        order: Of the regions, one of `region_pooling.REGION_ORDERS`.
        maximum: float64 `(21,)`, weights of the regional maxima, in the order of the grid.
        average: float64 `(21,)`, likewise of the averages.
        channels: How many weights a number is the mean of: 1, or the channels of a `per_channel`
            model.
    """

    grid: str
    order: str
    maximum: np.ndarray
    average: np.ndarray
    channels: int

    def regions(self, rows, columns):
        """int32 `(21, 4)` of `(x, y, width, height)` in cells of a map."""
        return boxes(_GRIDS[self.grid](rows, columns, self.order)).numpy()

    def levels(self):
        """`(name, slice of the regions)` of each level."""
        found, start = [], 0
        for name, count in _LEVELS_OF[self.grid].items():
            found.append((name, slice(start, start + count)))
            start += count
        return found


def region_weights(model, name):
    """The weights of a descriptor.

    Args:
        model: Descriptor.
        name: What an error calls it.

    Returns:
        `RegionWeights`; weights for each channel are averaged.

    Raises:
        UserError: If its pooling is not DARAC.
    """
    pooling = model.get_layer(POOLING_LAYER)
    if not isinstance(pooling, DARAC):
        raise UserError(
            f"--descriptor={name}: its pooling is {type(pooling).__name__}, which has no region "
            "weights; give a descriptor trained with --pooling=darac"
        )
    weights = np.asarray(pooling.vector_weights(), np.float64)
    maximum, average = np.split(weights.mean(axis=1), 2)
    return RegionWeights(pooling.grid, pooling.region_order, maximum, average, weights.shape[1])


def weight_rows(weights, rows, columns):
    """A dictionary for each region: level, place in cells, and both weights.

    Args:
        weights: `RegionWeights`.
        rows: Of the map.
        columns: Of the map.
    """
    regions = weights.regions(rows, columns)
    return [
        {
            "region": region + 1,
            "level": level,
            "x y width height": regions[region].tolist(),
            "maximum": float(weights.maximum[region]),
            "average": float(weights.average[region]),
        }
        for level, span in weights.levels()
        for region in range(span.start, span.stop)
    ]


def weight_table(rows):
    """Markdown: a row for each region, and the mean weights.

    Args:
        rows: As `weight_rows` gives them.
    """
    cells = [
        [
            str(row["region"]),
            row["level"],
            ", ".join(map(str, row["x y width height"])),
            f"{row['maximum']:.3f}",
            f"{row['average']:.3f}",
        ]
        for row in rows
    ]
    means = [np.mean([row[kind] for row in rows]) for kind in ("maximum", "average")]
    cells.append(["mean", "", "", *(f"{mean:.3f}" for mean in means)])
    header = ["Region", "Level", "x, y, width, height", "Maximum", "Average"]
    return markdown.table(header, cells, [True, False, False, True, True])
