"""Region grids against the public R-MAC's own output and against their definition."""

import json

import numpy as np
import pytest

from tests.layers.region_oracle import fixed_regions, pyramid_regions, rmac_regions

SIZES = [
    (1, 1),
    (1, 2),
    (2, 1),
    (1, 7),
    (3, 3),
    (5, 9),
    (9, 5),
    (10, 7),
    (32, 24),
    (17, 33),
    (1, 64),
]


def test_rmac_regions_equal_the_golden_cases(shared_data):
    golden = json.loads((shared_data / "ground_truth/rmac_regions_golden.json").read_text())
    assert len(golden["cases"]) >= 19
    for case in golden["cases"]:
        found = rmac_regions(case["height"], case["width"], golden["levels"])
        np.testing.assert_array_equal(found, case["regions"], err_msg=f"{case}")


@pytest.mark.parametrize(("height", "width", "count"), [(7, 7, 14), (24, 32, 20), (18, 32, 20)])
def test_rmac_regions_count(height, width, count):
    assert len(rmac_regions(height, width)) == count


def test_rmac_regions_worked_by_hand():
    # 2 x 3 map: one extra column; level 1 has side 2 at x = 0, 1; level 2 and 3 have side 1.
    expected_level_1 = [[0, 0, 2, 2], [1, 0, 2, 2]]
    np.testing.assert_array_equal(rmac_regions(2, 3, levels=1), expected_level_1)


@pytest.mark.parametrize("grid", [rmac_regions, fixed_regions, pyramid_regions])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_regions_lie_inside_the_map(grid, height, width):
    x, y, w, h = grid(height, width).T
    assert x.dtype.kind == "i"
    assert (x >= 0).all() and (y >= 0).all() and (w >= 1).all() and (h >= 1).all()
    assert (x + w <= width).all() and (y + h <= height).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_fixed_and_pyramid_always_have_21_with_the_whole_map(height, width):
    whole = [0, 0, width, height]
    for grid, index in ((fixed_regions, -1), (pyramid_regions, 0)):
        regions = grid(height, width)
        assert regions.shape == (21, 4)
        np.testing.assert_array_equal(regions[index], whole)


def test_fixed_regions_equal_rmac_where_that_has_20():
    for height, width in [(24, 32), (18, 32), (32, 24)]:
        np.testing.assert_array_equal(
            fixed_regions(height, width, "rows")[:20], rmac_regions(height, width)
        )


def _masks(regions, height, width):
    """bool `(regions, height, width)`: the cells of each region."""
    masks = np.zeros((len(regions), height, width), bool)
    for mask, (x, y, w, h) in zip(masks, regions, strict=True):
        mask[y : y + h, x : x + w] = True
    return masks


@pytest.mark.parametrize("grid", [fixed_regions, pyramid_regions])
def test_regions_of_a_portrait_are_those_of_the_landscape_turned_clockwise(grid):
    for height in range(1, 24):
        for width in range(height + 1, 30):
            landscape = _masks(grid(height, width), height, width)
            portrait = _masks(grid(width, height), width, height)
            turned = np.rot90(landscape, -1, axes=(1, 2))
            assert np.array_equal(portrait, turned), f"{height} x {width}"


@pytest.mark.parametrize("grid", [fixed_regions, pyramid_regions])
def test_order_of_a_landscape_and_a_square_is_by_rows(grid):
    for size in ((8, 10), (7, 7), (1, 3)):
        np.testing.assert_array_equal(grid(*size), grid(*size, "rows"))
    # Region 4, of level 2, is top right on a landscape, and so bottom right on the turned map.
    assert fixed_regions(8, 10)[4].tolist() == [5, 0, 5, 5]
    assert fixed_regions(10, 8)[4].tolist() == [3, 5, 5, 5]
    assert fixed_regions(10, 8, "rows")[4].tolist() == [0, 2, 5, 5]


def test_regions_by_rows_of_a_portrait_are_the_transposed_landscape():
    landscape, portrait = fixed_regions(9, 16), fixed_regions(16, 9, "rows")
    assert {tuple(r) for r in portrait} == {(y, x, h, w) for x, y, w, h in landscape}


def test_pyramid_tiles_the_map():
    x, y, w, h = pyramid_regions(8, 12)[5:].T
    covered = np.zeros((8, 12), int)
    for region in zip(x, y, w, h, strict=True):
        covered[region[1] : region[1] + region[3], region[0] : region[0] + region[2]] += 1
    np.testing.assert_array_equal(covered, 1)
