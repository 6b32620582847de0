"""The graph's grids equal the NumPy ones, on every map size, in one trace."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.layers import region_pooling, regions

GRIDS = {
    "rmac": (region_pooling.rmac_grid, regions.rmac_regions),
    "fixed": (region_pooling.fixed_grid, regions.fixed_regions),
    "pyramid": (region_pooling.pyramid_grid, regions.pyramid_regions),
    "fixed by rows": (
        functools.partial(region_pooling.fixed_grid, order="rows"),
        functools.partial(regions.fixed_regions, order="rows"),
    ),
    "pyramid by rows": (
        functools.partial(region_pooling.pyramid_grid, order="rows"),
        functools.partial(regions.pyramid_regions, order="rows"),
    ),
}


def _rows(grid):
    """`(regions, 4)` rows of a grid, in the order of `darac_tf.layers.regions`."""
    found = []
    for rows, columns, order in grid:
        y, x = tf.meshgrid(rows.start, columns.start, indexing="ij")
        bottom, right = tf.meshgrid(rows.stop, columns.stop, indexing="ij")
        level = tf.reshape(tf.stack([x, y, right - x, bottom - y], -1), [-1, 4])
        found.append(level if order is None else tf.gather(level, order))
    return tf.concat(found, 0)


@pytest.mark.parametrize("name", GRIDS)
def test_graph_grid_equals_numpy_on_every_size_in_one_trace(name):
    in_graph, in_numpy = GRIDS[name]
    most = 50  # R-MAC's on a long map: 1 x 7 + 2 x 8 + 3 x 9

    @tf.function
    def rows_of(sizes):
        def padded(size):
            rows = _rows(in_graph(size[0], size[1]))
            return tf.ensure_shape(tf.pad(rows, [[0, most - tf.shape(rows)[0]], [0, 0]]), [most, 4])

        return tf.map_fn(padded, sizes)

    sizes = np.array([(height, width) for height in range(1, 65) for width in range(1, 65)])
    found = rows_of(tf.constant(sizes, tf.int32)).numpy()
    for (height, width), rows in zip(sizes.tolist(), found, strict=True):
        expected = in_numpy(height, width)
        assert np.array_equal(rows[: len(expected)], expected), f"{height} x {width}"
        assert not rows[len(expected) :].any(), f"{height} x {width}"
