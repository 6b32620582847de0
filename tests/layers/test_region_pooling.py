"""The graph's grids equal the NumPy ones, on every map size, in one trace."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.layers import DARAC, region_pooling
from tests.helpers import slow_but
from tests.layers import region_oracle

GRIDS = {
    "rmac": (region_pooling.rmac_grid, region_oracle.rmac_regions),
    "fixed": (region_pooling.fixed_grid, region_oracle.fixed_regions),
    "pyramid": (region_pooling.pyramid_grid, region_oracle.pyramid_regions),
    "fixed by rows": (
        functools.partial(region_pooling.fixed_grid, order="rows"),
        functools.partial(region_oracle.fixed_regions, order="rows"),
    ),
    "pyramid by rows": (
        functools.partial(region_pooling.pyramid_grid, order="rows"),
        functools.partial(region_oracle.pyramid_regions, order="rows"),
    ),
}


EVERY = [(height, width) for height in range(1, 65) for width in range(1, 65)]


def _some():
    """A sixth of them: the small ones, others drawn, and where the last bit of float64 decides."""
    small = [size for size in EVERY if max(size) <= 16]
    drawn = np.random.default_rng(0).permutation(EVERY)[:400].tolist()
    return [*small, *drawn, (9, 33), (33, 9)]


@pytest.mark.parametrize("sizes", slow_but([_some], [_some, lambda: EVERY]), ids=["some", "every"])
@pytest.mark.parametrize("name", slow_but(["rmac", "fixed", "pyramid"], GRIDS))
def test_graph_grid_equals_numpy_on_every_size_in_one_trace(name, sizes):
    in_graph, in_numpy = GRIDS[name]
    most = 50  # R-MAC's on a long map: 1 x 7 + 2 x 8 + 3 x 9

    @tf.function(autograph=False)
    def rows_of(sizes):
        def padded(size):
            rows = region_pooling.boxes(in_graph(size[0], size[1]))
            return tf.ensure_shape(tf.pad(rows, [[0, most - tf.shape(rows)[0]], [0, 0]]), [most, 4])

        return tf.map_fn(padded, sizes)

    sizes = np.array(sizes())
    found = rows_of(tf.constant(sizes, tf.int32)).numpy()
    for (height, width), rows in zip(sizes.tolist(), found, strict=True):
        expected = in_numpy(height, width)
        assert np.array_equal(rows[: len(expected)], expected), f"{height} x {width}"
        assert not rows[len(expected) :].any(), f"{height} x {width}"


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", [int, np.int32, np.int64, tf.constant])
def test_sizes_are_integers_of_any_kind_above_0(name, kind):
    make, in_numpy = GRIDS[name]
    for height, width in [(5, 9), (9, 5), (3, 3)]:
        found = region_pooling.boxes(make(kind(height), kind(width)))
        np.testing.assert_array_equal(found, in_numpy(height, width))
    for height, width in [(0, 5), (5, 0), (-1, 5)]:
        with pytest.raises(UserError, match=r"at least 1 x 1 cells\. Received: "):
            make(kind(height), kind(width))


def test_an_empty_map_and_no_levels_are_refused():
    with pytest.raises(UserError, match=r"Received: levels=0$"):
        region_pooling.rmac_grid(5, 5, levels=0)
    with pytest.raises(UserError, match="Received: 0 x 3"):
        DARAC()(tf.zeros([1, 0, 3, 2]))
