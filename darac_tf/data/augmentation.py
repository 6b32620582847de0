"""Random crop, flip and light for training, reproducible from a seed, and the shape of the crops.

All crops of a step have one shape, so that a batch stays one tensor. Images are described in their
own shapes, of which a network that has seen squares only knows nothing. The ranges and the shapes
are a reconstruction: the paper does not give its augmentation.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from darac_tf.choices import DEFAULT_MAX_PIXELS
from darac_tf.data.images import decode_window, resize
from darac_tf.errors import UserError

# Weights of red, green and blue in the grey value (ITU-R BT.601).
_GREY_OF = np.repeat(np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=1)
_SAMPLED = 8
# Keeps the random numbers of shapes apart from others under the same seed, see `data.samplers`.
_STREAM = 5
_LONGEST = 4


class Draws(NamedTuple):
    """What chance decides about images, one row each."""

    crop: tf.Tensor  # int32 (images, 2), seeds
    is_mirrored: tf.Tensor  # bool (images,)
    colours: tf.Tensor  # float32 (images, 3, 3), of `light_matrix`
    lifts: tf.Tensor  # float32 (images,), of `light_matrix`


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the augmentation.

    Attributes:
        min_area: Smallest share of the image's area that a crop keeps, in (0, 1]; 1 keeps all. An
            image that has no such crop in the shape that is asked for is taken as a whole.
        aspect: How many times longer or shorter in width : height than the result a crop may be (1
            or more).
        flip: Whether half of the images are mirrored.
        light: Strength of brightness, contrast and saturation changes, 0 (none) to 1.
        orientation: Whether images are turned upright before, one of `choices.ORIENTATIONS`.
        max_pixels: Images of more are refused before they are decoded.
    """

    min_area: float = 0.4
    aspect: float = 1.33
    flip: bool = True
    light: float = 0.3
    orientation: str = "upright"
    max_pixels: int = DEFAULT_MAX_PIXELS

    def draw(self, count, seed):
        """`Draws` of `count` images from a seed, int `(2,)`.

        On small images, drawing one by one would take as long as the pixels.
        """
        of_crop, of_rest = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        crop = tf.random.stateless_uniform([count, 2], of_crop, None, None, tf.int32)
        mirror, *light = tf.unstack(tf.random.stateless_uniform([4, count], of_rest))
        factors = (1 + self.light * (2 * chances - 1) for chances in light)
        return Draws(crop, mirror < 0.5, *light_matrix(*factors))

    def __call__(self, data, sides, draws, choice=0):
        """Decodes and augments one image.

        Args:
            data: Bytes of the image file.
            sides: `(height, width)` of the result in pixels, or a list of such pairs.
            draws: Its row of `Draws`.
            choice: Index of the pair that is taken, int32 scalar.

        Returns:
            float32 `(height, width, 3)` in [0, 255].
        """
        sides = np.reshape(sides, (-1, 2)).astype(np.int32)
        # Shapes of crops are attributes of the operation that draws them.
        windows = [partial(self._window, draws.crop, width / height) for height, width in sides]
        if len(sides) == 1:
            (height, width), window = sides[0], windows[0]
            shape = height, width, 3
        else:
            height, width = tf.unstack(tf.gather(sides, choice))
            shape = None, None, 3

            def window(stored):
                return tf.switch_case(choice, [partial(draw, stored) for draw in windows])

        image = decode_window(data, window, self.orientation == "upright", self.max_pixels)
        image = tf.ensure_shape(resize(image, height, width), shape)
        if self.flip:
            image = tf.cond(draws.is_mirrored, lambda: tf.reverse(image, [1]), lambda: image)
        if self.light:
            image = change_light(image, draws.colours, draws.lifts)
        return image

    def _window(self, seed, ratio, shape):
        """`(offset, size)` of a random crop near a width : height, as `tf.slice` takes them."""
        offset, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.zeros([1, 0, 4]),
            seed=seed,
            min_object_covered=0.0,
            aspect_ratio_range=(ratio / self.aspect, ratio * self.aspect),
            area_range=(self.min_area, 1.0),
            max_attempts=20,
            use_image_if_no_bounding_boxes=True,
        )
        return offset, size


def light_matrix(gain, contrast, saturation):
    """Brightness, contrast and saturation as what `change_light` takes.

    All three are linear in the pixels, so that one pass over them does: with g the grey value of a
    pixel x, m the mean value, and `y = g + saturation * (x - g)`,
    `gain * (contrast * (y - m) + m)` is `x @ colour + lift * m`.

    Factors of 1 change nothing, a saturation of 0 makes it grey. float `(...)` each, to float32
    `(colour (..., 3, 3), lift (...))`.
    """
    gain, contrast, saturation = (tf.cast(x, tf.float32) for x in (gain, contrast, saturation))
    strength = gain * contrast
    kept = saturation[..., tf.newaxis, tf.newaxis]
    mixed = _GREY_OF + kept * (np.eye(3, dtype=np.float32) - _GREY_OF)
    return strength[..., tf.newaxis, tf.newaxis] * mixed, gain - strength


def change_light(image, colour, lift):
    """Applies `light_matrix` to `(height, width, 3)` in [0, 255], float32; clips to [0, 255]."""
    # Of a sample: the mean of all pixels would cost as much as all the rest.
    mean = tf.reduce_mean(image[::_SAMPLED, ::_SAMPLED])
    changed = tf.reshape(tf.matmul(tf.reshape(image, [-1, 3]), colour), tf.shape(image))
    return tf.clip_by_value(changed + lift * mean, 0.0, 255.0)


def parse_shapes(text):
    """Shapes `width:height` with commas between them as a list of width / height.

    >>> parse_shapes("4:3,1:2")
    [1.3333333333333333, 0.5]

    Raises:
        UserError: If a part is no shape, or longer than 4:1.
    """
    ratios = []
    for part in text.split(","):
        width, colon, height = part.strip().partition(":")
        is_shape = colon and all(side.isascii() and side.isdecimal() for side in (width, height))
        width, height = (int(width), int(height)) if is_shape else (0, 0)
        if not 0 < max(width, height) <= _LONGEST * min(width, height):
            raise UserError(
                f"--crop_shapes={text}: {part!r} is no shape; give width:height, from 1:{_LONGEST} "
                f"to {_LONGEST}:1, such as 4:3,3:4,1:1"
            )
        ratios.append(width / height)
    return ratios


class CropShapes:
    """The shape that the crops of a step have, a function of the seed and the step.

    Of as many steps as shapes are named, each has one of them, in an order drawn anew each time:
    what is named twice has twice the share.

    Args:
        text: As of `parse_shapes`, or None for squares.
        size: Side of a square in pixels; all shapes have its area, up to rounding.
        seed: Integer.

    Attributes:
        sides: List of distinct `(height, width)` in pixels.
    """

    def __init__(self, text, size, seed):
        roots = np.sqrt(parse_shapes(text or "1:1"))
        sides = [(max(round(size / root), 1), max(round(size * root), 1)) for root in roots]
        self.sides = list(dict.fromkeys(sides))
        self._places = np.array([self.sides.index(each) for each in sides])
        self._seed = seed

    def of_step(self, step):
        """The index in `sides` of a step, counted from 0."""
        cycle, place = divmod(int(step), len(self._places))
        random = np.random.default_rng([self._seed, _STREAM, cycle])
        return random.permutation(self._places)[place]
