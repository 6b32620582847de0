"""The part of each image that is looked at, in whole pixels, and its shape before the resize."""

from typing import NamedTuple

import numpy as np

from darac_tf.data.scaled_decoding import scaled_side
from darac_tf.errors import UserError

# Boxes may overshoot the image by a few pixels; a box that lies further outside was drawn on an
# image of another size.
_LEAST_INSIDE = 0.9


class Views(NamedTuple):
    """What is seen of each image.

    Attributes:
        boxes: int64 `(images, 4)`, `xmin, ymin, xmax, ymax` in pixels of the stored image, where
            whole images have `0, 0, width, height`; None where all are whole.
        turns: int64 `(images,)`, quarter turns counter-clockwise after the crop, 0..3; None where
            none is turned.
        shapes: int64 `(images, 2)`, heights and widths after crop and turn.
        ratios: int64 `(images,)`, what sides are divided by when the image is decoded
            (`scaled_decoding`), 1 for those with a box; None where all are decoded as they are.
    """

    boxes: np.ndarray | None
    turns: np.ndarray | None
    shapes: np.ndarray
    ratios: np.ndarray | None = None

    def decoded(self):
        """`(boxes, shapes)` in the pixels of the images as they are decoded."""
        if self.ratios is None:
            return self.boxes, self.shapes
        ratios = self.ratios[:, np.newaxis]
        boxes = None if self.boxes is None else scaled_side(self.boxes, ratios)
        return boxes, scaled_side(self.shapes, ratios)


def plan_views(images, sizes):
    """Rounds boxes and works out the shape of every view.

    The corners of a box are rounded to the nearest pixel, halves to even, and what lies beyond the
    image is black: so `PIL.Image.crop` has it, to which the reference code of the revisited Oxford
    and Paris sets (Radenović et al. 2018, `example_process_images.py`) gives the boxes as they are.

    Args:
        images: `ImageList`.
        sizes: int `(images, 2)`, heights and widths as stored; 0 x 0 for unreadable images.

    Returns:
        `Views`.

    Raises:
        UserError: If a box is empty, or a tenth of it or more lies outside its image.
        ValueError: If boxes or turns are not one for each image.
    """
    _check_lengths(images)
    shapes = np.array(sizes, np.int64)
    boxes, turns = None, None
    if images.boxes is not None and not np.isnan(images.boxes).any(axis=1).all():
        boxes = _pixel_boxes(np.asarray(images.boxes, np.float64), shapes)
        _check_boxes(images, boxes, shapes)
        shapes = np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)
    if images.turns is not None and np.any(images.turns):
        turns = np.asarray(images.turns, np.int64) % 4
        shapes = np.where((turns % 2 == 1)[:, None], shapes[:, ::-1], shapes)
    return Views(boxes, turns, shapes)


def _check_lengths(images):
    for name, rows in (("boxes", images.boxes), ("turns", images.turns)):
        if rows is not None and len(rows) != len(images):
            raise ValueError(
                f"`{name}` must have one row for each image. "
                f"Received: {len(rows)} {name} for {len(images)} images"
            )


def _pixel_boxes(boxes, sizes):
    whole = np.zeros((len(boxes), 4), np.int64)
    whole[:, 2:] = sizes[:, ::-1]
    is_whole = np.isnan(boxes).any(axis=1)
    rounded = np.rint(np.where(is_whole[:, None], 0.0, boxes)).astype(np.int64)
    return np.where(is_whole[:, None], whole, rounded)


def _check_boxes(images, boxes, sizes):
    corners = np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, 2:], sizes[:, ::-1])
    inside = np.prod(np.maximum(corners[1] - corners[0], 0), axis=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    readable = sizes.all(axis=1)
    empty = readable & (sides < 1).any(axis=1)
    outside = readable & ~empty & (inside < _LEAST_INSIDE * sides.prod(axis=1))
    for index in np.flatnonzero(empty | outside):
        box = ", ".join(f"{side:g}" for side in images.boxes[index])
        where = f"{images.paths[index]}: the box ({box})"
        if empty[index]:
            raise UserError(f"{where} is empty; give it as xmin, ymin, xmax, ymax")
        height, width = sizes[index]
        raise UserError(
            f"{where} lies outside the image of {width} x {height} pixels; use the images in the "
            "size that the boxes were drawn for"
        )
