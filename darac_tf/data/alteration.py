"""Copies of a photograph as others may have them: a part of it, turned, smaller, lit otherwise.

The ranges are what pictures go through when they are passed on or taken again; no part of a copy
lies beyond the photograph, so that black corners give nothing away.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from darac_tf.data.augmentation import change_light, light_matrix
from darac_tf.data.images import resize, scaled_size

AREAS = 0.25, 0.8  # Share of the photograph that a copy shows.
MAX_ANGLE = 15  # Degrees.
LONG_SIDES = 224, 1024  # Pixels; a copy is never enlarged.
QUALITIES = 30, 90  # Of JPEG.
_LIGHT = 0.3  # Of gain and contrast, and twice of saturation: factors of 1 - this to 1 + this.


@dataclass(frozen=True)
class Alteration:
    """What chance decides about a copy."""

    area: float  # Share of the photograph in (0, 1]; the copy has its shape.
    angle: float  # Degrees that what is seen is turned by, counter-clockwise.
    centre: tuple  # `(x, y)` of the middle of the part, in pixels of the photograph.
    long_side: int  # Of the copy, in pixels.
    light: tuple  # Factors of brightness, contrast and saturation, as of `light_matrix`.
    quality: int  # Of the JPEG file, in [1, 100].


def draw_alteration(random, height, width):
    """`Alteration` of a photograph of some pixels, within the ranges above.

    `random` is NumPy's generator. The part lies within the photograph: the larger it is, the less
    it may be turned.
    """
    side = math.sqrt(area := random.uniform(*AREAS))
    angle = random.uniform(-1, 1) * min(MAX_ANGLE, _most_degrees(side, height, width))
    # Half of the upright box that holds the turned part.
    cos, sin = math.cos(math.radians(angle)), abs(math.sin(math.radians(angle)))
    half = side / 2 * np.array([width * cos + height * sin, width * sin + height * cos])
    centre = half + random.random(2) * np.maximum((width, height) - 2 * half, 0)
    longest = max(1, round(side * max(height, width)))
    light = 1 + _LIGHT * np.array([1, 1, 2]) * random.uniform(-1, 1, 3)
    return Alteration(
        area,
        angle,
        tuple(centre.tolist()),
        min(longest, round(math.exp(random.uniform(*np.log(LONG_SIDES))))),
        tuple(light.tolist()),
        int(random.integers(QUALITIES[0], QUALITIES[1] + 1)),
    )


def alter(image, alteration):
    """The copy of a photograph, uint8 RGB `(height, width, 3)`, as bytes of a JPEG file."""
    height, width = image.shape[:2]
    side = math.sqrt(alteration.area)
    part = max(1, round(side * height)), max(1, round(side * width))
    cos, sin = (f(math.radians(alteration.angle)) for f in (math.cos, math.sin))
    turn = np.array([[cos, -sin], [sin, cos]])
    # Pixels have their centres at halves in `Alteration`, and at whole numbers in OpenCV.
    middle = np.array(part[::-1]) / 2 - 0.5
    shift = np.array(alteration.centre) - 0.5 - turn @ middle
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = np.column_stack([turn, shift])
    seen = cv2.warpAffine(image, matrix, part[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
    small = resize(seen, *scaled_size(*part, alteration.long_side))
    lit = change_light(small, *light_matrix(*alteration.light)).numpy()
    pixels = lit.round().astype(np.uint8)[..., ::-1]
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, alteration.quality])
    return data.tobytes()


def _most_degrees(side, height, width):
    """The largest angle at which a part of the image's shape, `side` times its size, fits in it.

    Turned by t, it is as high as `side * (w sin t + h cos t)`, and that must be h or less for the
    longer w and the shorter h: `cos(t - atan(w / h)) <= 1 / (side * sqrt(1 + (w / h)^2))`.
    """
    ratio = max(height, width) / min(height, width)
    bound = 1 / (side * math.hypot(1, ratio))
    return math.degrees(math.atan(ratio) - math.acos(min(1.0, bound)))
