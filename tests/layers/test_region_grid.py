"""The graph's grids equal the NumPy ones, on every map size, in one trace."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.layers import region_grid, regions

GRIDS = {
    "rmac": (region_grid.rmac_grid, regions.rmac_regions),
    "fixed": (region_grid.fixed_grid, regions.fixed_regions),
    "pyramid": (region_grid.pyramid_grid, regions.pyramid_regions),
}


def _rows(grid):
    """`(regions, 4)` rows of a grid, in the order of `darac_tf.layers.regions`."""
    found = []
    for rows, columns in grid:
        y, x = tf.meshgrid(rows.start, columns.start, indexing="ij")
        bottom, right = tf.meshgrid(rows.stop, columns.stop, indexing="ij")
        found.append(tf.reshape(tf.stack([x, y, right - x, bottom - y], -1), [-1, 4]))
    return tf.concat(found, 0)


@pytest.mark.parametrize("name", GRIDS)
def test_graph_grid_equals_numpy_on_every_size_in_one_trace(name):
    in_graph, in_numpy = GRIDS[name]
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)] * 2)
    def rows(height, width):
        traces.append(1)
        return _rows(in_graph(height, width))

    step = 1 if name == "rmac" else 3
    for height in range(1, 65, step):
        for width in range(1, 65):
            expected = in_numpy(height, width)
            np.testing.assert_array_equal(
                rows(height, width), expected, err_msg=f"{height} x {width}"
            )
    assert len(traces) == 1
