"""The sizes that images are described at: a long side in pixels, or a factor of their own size.

As text, `299` is a long side, `x0.5` a factor, and `0.25..2` the factors from 0.25 to 2 whose
neighbours are a factor of sqrt(2) apart, to four decimals: the seven scales of DELF (Noh et al.
2017, arXiv 1612.06321). `0.25..1` are the first five of them. `x0.5@1024` and `0.25..1@1024` are
factors of images that are limited to a long side of 1024 pixels first, as GeM's authors do.
`299-bilinear` and `x0.5-nearest` resize by another of `choices.KERNELS`. `299-snapped` takes
aspects to the nearest of some (`_snapped_size`), so that images of many shapes become few batches.
"""

import contextlib
import math
import numbers
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from darac_tf.choices import ANTIALIAS, EXACT, KERNELS, SHAPES
from darac_tf.data.images import maximum, resize, scaled_size
from darac_tf.errors import UserError

# Factors are whole millionths, so that sizes are planned and computed in the same integers.
_UNIT = 1_000_000
_LARGEST_FACTOR = 1000
# Aspects that shapes are snapped to: powers of the cube root of 3:4, in millionths. 1:1, 4:3, 16:9
# and 64:27 are among them, so that what most cameras and telephones take keeps its shape.
_ASPECTS = [round(_UNIT * 0.75 ** (step / 3)) for step in range(25)]
_BORDERS = [round(_UNIT * 0.75 ** ((step + 0.5) / 3)) for step in range(25)]


class _Size:
    """What sizes share: the resize, by a `kernel` of `choices.KERNELS`, and one of `SHAPES`."""

    def planned_size(self, height, width):
        """`(height, width)` after the resize, at least 1 each.

        Both are integers, int64 arrays or int64 tensors.

        >>> Factor(0.5).planned_size(3, 100)
        (2, 50)
        >>> Factor(0.01).planned_size(3, 100)
        (1, 1)
        """
        planned = self._exact_size(height, width)
        return planned if self.shapes == EXACT else _snapped_size(height, width, *planned)

    def resize(self, image):
        """Resizes `(..., height, width, 3)` to float32; works in graphs."""
        shape = tf.shape(image, out_type=tf.int64)
        height, width = self.planned_size(shape[-3], shape[-2])
        return resize(image, tf.cast(height, tf.int32), tf.cast(width, tf.int32), self.kernel)

    def _with_options(self, text):
        options = [self.kernel] * (self.kernel != ANTIALIAS) + [self.shapes] * (
            self.shapes != EXACT
        )
        return "-".join([text, *options])


def _snapped_size(height, width, planned_height, planned_width):
    """The planned size with its shorter side changed to the nearest aspect of `_ASPECTS`.

    That is by 5 % at most, but for the rounding to pixels. Images of more than 10:1 are left as
    they are. Integers only, so that ints, arrays and tensors get the same sizes.
    """
    longer, planned_longer = maximum(height, width), maximum(planned_height, planned_width)
    shorter, exact = height + width - longer, planned_height + planned_width - planned_longer
    aspect = _ASPECTS[0]
    for border, step in zip(_BORDERS, np.diff(_ASPECTS).tolist(), strict=False):
        aspect = aspect + step * _is_less(shorter * _UNIT, longer * border)
    is_long = _is_less(shorter * _UNIT, longer * _BORDERS[-1])
    snapped = maximum((2 * planned_longer * aspect + _UNIT) // (2 * _UNIT), 1)
    snapped = snapped + is_long * (exact - snapped)
    is_portrait = _is_less(width, height)
    change = snapped - exact
    return planned_height + (1 - is_portrait) * change, planned_width + is_portrait * change


def _is_less(a, b):
    """1 where a < b, else 0; of ints, arrays or tensors."""
    return -((a - b) // (1 << 62))


@dataclass(frozen=True)
class LongSide(_Size):
    """Images are resized so that their longer side has `pixels` pixels; the aspect is kept.

    Raises:
        ValueError: If `pixels` is not a positive integer.
    """

    pixels: int
    kernel: str = ANTIALIAS
    shapes: str = EXACT

    def __post_init__(self):
        if not isinstance(self.pixels, numbers.Integral) or self.pixels < 1:
            raise ValueError(f"`pixels` must be a positive integer. Received: {self.pixels!r}")

    def __str__(self):
        return self._with_options(str(self.pixels))

    def _exact_size(self, height, width):
        return scaled_size(height, width, self.pixels)


@dataclass(frozen=True)
class Factor(_Size):
    """Both sides of an image (of the crop, where it is cropped) are multiplied by `value`.

    It is rounded to millionths; above 1 it enlarges. With `limit`, pixels, the longer side counts
    as no more than that.

    Raises:
        ValueError: If `value` is not between a millionth and 1000, or `limit` not positive.
    """

    value: float
    limit: int | None = None
    kernel: str = ANTIALIAS
    shapes: str = EXACT

    def __post_init__(self):
        if self.limit is not None:
            LongSide(self.limit)
        if not 1 / _UNIT <= self.value <= _LARGEST_FACTOR:
            raise ValueError(
                f"`value` must be between {1 / _UNIT:f} and {_LARGEST_FACTOR}. "
                f"Received: {self.value!r}"
            )
        object.__setattr__(self, "value", round(float(self.value), 6))

    def __str__(self):
        limit = "" if self.limit is None else f"@{self.limit}"
        return self._with_options("x" + f"{self.value:.6f}".rstrip("0").rstrip(".") + limit)

    def _exact_size(self, height, width):
        """Each side rounded to the nearest."""
        if self.limit is not None:
            beyond = maximum(maximum(height, width) - self.limit, 0)
            height, width = scaled_size(height, width, maximum(height, width) - beyond)
        millionths = round(self.value * _UNIT)
        return tuple(
            maximum((2 * side * millionths + _UNIT) // (2 * _UNIT), 1) for side in (height, width)
        )


def as_size(size):
    """A `LongSide` or `Factor` as it is; an integer becomes a `LongSide`."""
    return LongSide(int(size)) if isinstance(size, numbers.Integral) else size


def parse_sizes(text, kernel=ANTIALIAS, shapes=EXACT):
    """`"299,x0.5"` to `(LongSide(299), Factor(0.5))`.

    >>> ",".join(map(str, parse_sizes("540,0.25..1")))
    '540,x0.25,x0.3536,x0.5,x0.7071,x1'

    Args:
        text: Sizes as in the module's description, with commas between them; `str` of a `LongSide`
            or `Factor` gives its text back.
        kernel: Of the sizes that name none.
        shapes: Of the sizes that name none, one of `choices.SHAPES`.

    Raises:
        UserError: If a part is none of the three kinds, or one size comes twice.
    """
    sizes = [
        size for part in text.split(",") for size in _parse_part(part.strip(), text, kernel, shapes)
    ]
    for size in sizes:
        if sizes.count(size) > 1:
            raise UserError(f"sizes {text!r}: {size} is in it twice; leave one out")
    return tuple(sizes)


def _parse_part(part, text, kernel, shapes):
    size, *options = part.split("-")
    if options and options[-1] in SHAPES:
        shapes = options.pop()
    if options:
        kernel = options.pop()
    if options or kernel not in KERNELS:
        raise _not_a_size(part, text)
    if size.isascii() and size.isdecimal() and int(size) > 0:
        return [LongSide(int(size), kernel, shapes)]
    factors, at, limit = size.partition("@")
    if at and not (limit.isascii() and limit.isdecimal() and int(limit) > 0):
        raise _not_a_size(part, text)
    first, dots, last = factors.partition("..")
    if dots:
        values = _factor_range(_number(first, text), _number(last, text), text)
    elif size.startswith("x"):
        values = [_number(factors[1:], text)]
    else:
        raise _not_a_size(part, text)
    return [Factor(value, int(limit) if at else None, kernel, shapes) for value in values]


def _number(part, text):
    """The number that a part of the text stands for, as a `Factor` may have it."""
    with contextlib.suppress(ValueError):
        return Factor(float(part)).value
    raise _not_a_size(part, text)


def _factor_range(first, last, text):
    steps = 2 * math.log2(last / first)
    if steps < 1 or abs(steps - round(steps)) > 0.01:
        raise UserError(
            f"sizes {text!r}: the ends of {first:g}..{last:g} must rise by a power of the square "
            "root of 2, as in 0.25..2"
        )
    return [round(value, 4) for value in np.geomspace(first, last, round(steps) + 1)]


def _not_a_size(part, text):
    return UserError(
        f"sizes {text!r}: {part!r} is no size; give a long side in pixels (299), a factor (x0.5) "
        "or a range of factors (0.25..2), of at most so many pixels (0.25..1@1024)"
    )
