"""Shapes of training crops: all images of a batch share one, so that a batch stays one tensor.

Images are described in their own shapes, of which a network that has seen squares only knows
nothing. The paper doesn't say whether it trained on others: shapes are a reconstruction.
"""

import numpy as np

from darac_tf.errors import UserError

# Keeps these random numbers apart from others under the same seed, see `data.samplers`.
_STREAM = 5
_LONGEST = 4


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
