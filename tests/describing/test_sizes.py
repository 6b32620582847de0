"""Sizes: text and back, the planned size and the resized image's, DELF's seven factors."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from darac_tf.choices import KERNELS, SHAPES
from darac_tf.describing import sizes
from darac_tf.describing.sizes import Factor, LongSide, as_size, parse_sizes
from darac_tf.errors import UserError


def test_parsing():
    assert parse_sizes("299, 540,x0.5") == (LongSide(299), LongSide(540), Factor(0.5))
    assert parse_sizes("x1") == (Factor(1),)
    named = parse_sizes("299-nearest,299,0.5..1", "bilinear")
    assert named[:2] == (LongSide(299, "nearest"), LongSide(299, "bilinear"))
    assert ",".join(map(str, named[1:3])) == "299-bilinear,x0.5-bilinear"
    snapped = parse_sizes("299,x0.5-bilinear,540-exact", shapes="snapped")
    assert ",".join(map(str, snapped)) == "299-snapped,x0.5-bilinear-snapped,540"


def test_the_range_of_delf():
    expected = [0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0]
    assert [size.value for size in parse_sizes("0.25..2")] == expected
    assert [size.value for size in parse_sizes("0.25..1")] == expected[:5]
    assert [size.value for size in parse_sizes("0.3536..1")] == expected[1:5]


@given(
    st.lists(
        st.one_of(
            st.builds(
                LongSide,
                st.integers(1, 5000),
                st.sampled_from(KERNELS),
                st.sampled_from(SHAPES),
            ),
            st.builds(
                lambda millionths, *more: Factor(millionths / 1e6, *more),
                st.integers(1, 4_000_000),
                st.none() | st.integers(1, 5000),
                st.sampled_from(KERNELS),
                st.sampled_from(SHAPES),
            ),
        ),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_text_and_back(wanted):
    assert parse_sizes(",".join(map(str, wanted))) == tuple(wanted)


@pytest.mark.parametrize(
    "text",
    ["", "299,", "0", "-5", "2.5", "x0", "x-1", "xnan", "xinf", "x", "0.5", "1e3", "a..b", "1..1",
     "2..0.25", "0.25..3", "0..2", "0.25..nan", "..", "299,299", "x0.5,0.25..1", "²", "x1001",
     "x0.5@", "x0.5@0", "x0.5@x", "@5", "299@5", "x1@5@6", "299-", "299-cubic",
     "299-antialias,299", "x1-nearest@5", "299-snapped-nearest", "299-exact-snapped"],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(UserError, match=r"^sizes ") as info:
        parse_sizes(text)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("value", [0, -1, 2.5, float("nan"), "299"])
def test_values_are_checked(value):
    with pytest.raises(ValueError, match="Received"):
        LongSide(value)
    if value != 2.5 and value != "299":
        with pytest.raises(ValueError, match="Received"):
            Factor(value)


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [
        (Factor(0.5), (3, 5), (2, 3)),  # Halves go up.
        (Factor(0.01), (3, 100), (1, 1)),
        (Factor(2), (3, 5), (6, 10)),
        (Factor(1), (7, 9), (7, 9)),
        (Factor(0.3536), (768, 1024), (272, 362)),
        (Factor(0.5, 1024), (1536, 2048), (384, 512)),
        (Factor(0.5, 1024), (600, 800), (300, 400)),  # Smaller images are not enlarged.
        (LongSide(299), (768, 1024), (224, 299)),
    ],
)
def test_planned_size(size, shape, expected):
    assert size.planned_size(*shape) == expected
    assert tuple(size.resize(np.zeros((*shape, 3), np.uint8)).shape) == (*expected, 3)


@pytest.mark.parametrize(
    "size",
    parse_sizes("1,17,64,0.25..2,x0.01,x0.333333,0.5..1@40,64-snapped"),
)
def test_planned_and_graph_sizes_are_equal(size):
    rng = np.random.default_rng(1)
    shapes = rng.integers(1, 80, (30, 2))
    signature = [tf.TensorSpec([None, None, 3], tf.uint8)]
    resize = tf.function(size.resize, input_signature=signature, autograph=False)
    planned = np.stack(size.planned_size(*shapes.T), axis=1)
    for shape, expected in zip(shapes, planned, strict=True):
        assert resize(np.zeros((*shape, 3), np.uint8)).shape[:2] == tuple(expected)
        assert size.planned_size(*map(int, shape)) == tuple(expected)


def test_snapped_shapes_have_the_nearest_power_of_the_cube_root_of_4_to_3():
    size = LongSide(3000, shapes="snapped")
    for height, width in np.random.default_rng(0).integers(1, 4000, (500, 2)).tolist():
        exact = math.log(max(height, width) / min(height, width), (4 / 3) ** (1 / 3))
        planned = size.planned_size(height, width)
        if exact > 24.5:
            assert planned == LongSide(3000).planned_size(height, width)
        elif abs(exact % 1 - 0.5) > 1e-3:
            short = 3000 / (4 / 3) ** (round(exact) / 3)
            assert max(planned) == 3000 and abs(min(planned) - short) <= 0.51
            assert planned[0] == planned[1] or (planned[0] < planned[1]) == (height < width)
    for shape in [(3024, 4032), (1920, 1080), (640, 640), (27, 64)]:
        for each in parse_sizes("299,540,1020,x0.5"):
            snapped = replace(each, shapes="snapped")
            assert snapped.planned_size(*shape) == each.planned_size(*shape)


def test_factor_resizes_like_the_one_resize():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    np.testing.assert_array_equal(Factor(0.5).resize(image), sizes.resize(image, 20, 30))
    assert Factor(0.5).resize(image).dtype == tf.float32


def test_integers_are_long_sides():
    assert as_size(np.int64(40)) == LongSide(40) and as_size(40) == LongSide(40)
    assert as_size(Factor(0.5)) == Factor(0.5)
