"""The boxes of query images."""

from pathlib import Path

import numpy as np

from darac_tf.data.images import stored_size
from darac_tf.errors import UserError

# Published boxes may touch the border from outside by the rounding of their annotation.
OVERHANG = 1.0


def boxes_inside(boxes, paths, source):
    """Checks query boxes against the sizes of their images.

    Args:
        boxes: float `(Q, 4)`: `xmin, ymin, xmax, ymax` in pixels, from 0.
        paths: The Q image files.
        source: Where the boxes are from, for messages.

    Returns:
        float64 `(Q, 4)`: the boxes without what hangs over the border by a pixel or less.

    Raises:
        UserError: If a box covers less than a pixel in either direction, or hangs over the border
            by more than a pixel, or the image can't be read; the message names the query.
    """
    clipped = np.array(boxes, np.float64)
    for box, path in zip(clipped, paths, strict=True):
        height, width = stored_size(path)
        limits = np.array([width, height, width, height], np.float64)
        inside = np.clip(box, 0, limits)
        numbers = " ".join(f"{value:g}" for value in box)
        if np.any(np.abs(inside - box) > OVERHANG):
            raise UserError(
                f"{source}: the box of query {Path(path).stem} ({numbers}) reaches beyond its "
                f"image of {width} x {height} pixels; fetch the image and the ground truth again"
            )
        if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
            raise UserError(
                f"{source}: the box of query {Path(path).stem} ({numbers}) is empty; fetch the "
                "ground truth again"
            )
        box[:] = inside
    return clipped
