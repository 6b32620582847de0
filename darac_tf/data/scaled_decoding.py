"""JPEG decoded at a half, a fourth or an eighth of its size, where much smaller images are needed.

The decoder leaves out what smaller pixels don't show, which saves time of decoding and resize. The
result is not that of the whole image, only close to it, so that this is for those who ask for it.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.data.images import decode_image

RATIOS = (1, 2, 4, 8)
# The decoded image is at least so many times as large as it is needed, so that the antialiased
# resize still decides about its pixels.
MARGIN = 2


def decode_scaled(data, ratio):
    """Decodes an image at a part of its size; others than JPEG must have a ratio of 1.

    Args:
        data: Its file, a scalar string.
        ratio: Integer tensor, one of `RATIOS`.

    Returns:
        uint8 `(height, width, 3)`, each side `ceil(side / ratio)`.
    """
    _, *scaled = RATIOS
    branches = [lambda: decode_image(data)]
    # The operation takes its ratio as an attribute, one for each branch.
    branches += [lambda own=own: tf.io.decode_jpeg(data, channels=3, ratio=own) for own in scaled]
    return tf.switch_case(tf.searchsorted(RATIOS, [ratio])[0], branches)


def decoding_ratios(shapes, sizes):
    """The largest ratios at which images have `MARGIN` times the pixels that they are needed with.

    >>> from darac_tf.describing.sizes import LongSide
    >>> decoding_ratios(np.array([[3000, 4000], [768, 1024], [3000, 4000]]), [LongSide(299)])
    array([4, 1, 4])

    Args:
        shapes: int `(images, 2)`, heights and widths as stored.
        sizes: The sizes that they are needed at (`describing.sizes`).

    Returns:
        int64 `(images,)`, of `RATIOS`.
    """
    planned = [np.stack(size.planned_size(*shapes.T), axis=1).max(axis=1) for size in sizes]
    needed = MARGIN * np.max(planned, axis=0)
    found = np.ones(len(shapes), np.int64)
    for ratio in RATIOS:
        found[scaled_side(shapes.max(axis=1), ratio) >= needed] = ratio
    return found


def scaled_side(side, ratio):
    """A side in pixels after `decode_scaled`; integers or arrays."""
    return -(-side // ratio)


def are_jpeg(paths):
    """bool `(images,)`: which files begin as JPEG does; False for those that can't be read."""
    return np.array([_begins_as_jpeg(path) for path in paths], bool)


def _begins_as_jpeg(path):
    try:
        with Path(path).open("rb") as file:
            return file.read(3) == b"\xff\xd8\xff"
    except OSError:
        return False
