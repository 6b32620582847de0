"""Which pixels to describe: image files, the box that is looked at, how each is turned.

Boxes and turns as users give them are an `ImageList`; in whole pixels, with the shapes before the
resize, they are `Views`.
"""

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from darac_tf.choices import DEFAULT_MAX_PIXELS
from darac_tf.data.exif import is_lying, lying_portraits
from darac_tf.data.images import RATIOS, scaled_side
from darac_tf.data.pillow_files import content_size, read_header
from darac_tf.errors import UserError

_LOG = logging.getLogger(__name__)
# Boxes may overshoot the image by a few pixels; a box that lies further outside was drawn on an
# image of another size.
_LEAST_INSIDE = 0.9
# An image that is decoded at a part of its size is at least so many times as large as it is needed,
# so that the antialiased resize still decides about its pixels.
_MARGIN = 2


@dataclass(frozen=True)
class ImageList:
    """Images as they go into the network.

    Attributes:
        paths: String array `(images,)`.
        boxes: float64 `(images, 4)`, the part of each image that is looked at as `xmin, ymin, xmax,
            ymax` in pixels, or None for whole images. A row of NaN stands for a whole image.
        turns: int64 `(images,)`, quarter turns counter-clockwise (0..3) after the crop, of images
            whose files don't say how they are upright; or None for no turns.
        upright: Whether images are turned upright as their Exif orientation says, before the crop,
            or taken as they are stored: bool, or `(images,)` of them.
        max_pixels: Images of more are refused.
    """

    paths: np.ndarray
    boxes: np.ndarray | None = None
    turns: np.ndarray | None = None
    upright: bool | np.ndarray = True
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __len__(self):
        return len(self.paths)

    def box_of(self, index):
        """The box of one image, `(4,)` float64, or None where it is looked at as a whole."""
        if self.boxes is None or np.isnan(self.boxes[index]).any():
            return None
        return self.boxes[index]

    def turns_of(self, index):
        """Quarter turns counter-clockwise of one image, 0..3; None for what Exif says."""
        turns = 0 if self.turns is None else int(self.turns[index])
        return turns or (None if self.are_upright()[index] else 0)

    def are_upright(self):
        """`upright` of each image, bool `(images,)`."""
        return np.broadcast_to(self.upright, len(self))

    def select(self, rows):
        """The images where a mask holds, or of some rows."""
        boxes, turns = (None if x is None else x[rows] for x in (self.boxes, self.turns))
        rest = self.are_upright()[rows], self.max_pixels
        return ImageList(self.paths[rows], boxes, turns, *rest)


class Views(NamedTuple):
    """What is seen of each image: boxes and turns as of `ImageList`, in whole numbers, int64."""

    paths: np.ndarray  # strings (images,)
    # (images, 2), heights and widths by the files' headers, upright where they are turned so; 0 x 0
    # if unreadable
    whole: np.ndarray
    boxes: np.ndarray | None  # (images, 4), 0, 0, width, height for whole ones; None if all are
    turns: np.ndarray | None  # (images,), 0..3; None where none is turned
    shapes: np.ndarray  # (images, 2), heights and widths after crop and turn
    # (images,), of `images.decode_scaled`, 1 with a box; None where all are decoded as they are
    ratios: np.ndarray | None = None
    orientations: np.ndarray | None = None  # (images,), of `data.exif`; None where all are 1

    def stored(self, place):
        """`(height, width)` of one image as its file has it."""
        is_turned = self.orientations is not None and is_lying(self.orientations[place])
        return tuple(self.whole[place, ::-1] if is_turned else self.whole[place])

    def decoded(self):
        """`(boxes, shapes)` in the pixels of the images as they are decoded."""
        if self.ratios is None:
            return self.boxes, self.shapes
        ratios = self.ratios[:, np.newaxis]
        boxes = None if self.boxes is None else scaled_side(self.boxes, ratios)
        return boxes, scaled_side(self.shapes, ratios)

    def scaled(self, sizes):
        """The same views, with JPEGs without a box decoded as small as `describing.sizes` allow."""
        ratios = decoding_ratios(np.maximum(self.whole, 1), sizes)
        ratios[~(are_jpeg(self.paths) & self.is_whole())] = 1
        return self._replace(ratios=ratios)

    def is_whole(self):
        """bool `(images,)`: which images are looked at without a box, or in a box of all."""
        if self.boxes is None:
            return np.ones(len(self.paths), bool)
        return (self.boxes == _whole_boxes(self.whole)).all(axis=1)


def read_views(images, progress=True, skip_bad=False):
    """Reads the headers of images, and plans what is seen of them.

    Args:
        images: `ImageList`, or a string array `(images,)` of paths of whole images.
        progress: Whether to show a progress bar.
        skip_bad: Whether images whose header can't be read are listed, instead of refused.

    Returns:
        Tuple of `Views`, and a dictionary of place to reason of images that can't be read.

    Raises:
        UserError: See `plan_views`; or without `skip_bad` for an image that can't be read.
    """
    if not isinstance(images, ImageList):
        images = ImageList(np.asarray(images))
    hide = not progress or len(images) < 1000
    sizes, failures = np.zeros((len(images), 2), np.int64), {}
    orientations = np.ones(len(images), np.int64)
    for place, path in enumerate(tqdm(images.paths, "headers", unit=" images", disable=hide)):
        try:
            *sizes[place], orientations[place] = read_header(path, images.max_pixels)
        except UserError as error:
            if not skip_bad:
                raise
            failures[place] = str(error)
    _say_lying(images, sizes, orientations)
    return plan_views(images, sizes, orientations), failures


def _say_lying(images, sizes, orientations):
    """Logs, in one line, which images a tool may have turned already, and left their tag."""
    lying = images.are_upright() & is_lying(orientations) & (sizes[:, 0] > sizes[:, 1])
    if np.any(lying):
        example = images.paths[np.argmax(lying)]
        text = lying_portraits(np.count_nonzero(lying), len(images), example)
        _LOG.warning("%sgive --orientation=stored", text)


def plan_views(images, sizes, orientations=1):
    """`Views` of an `ImageList` whose images are stored with some `sizes`, int `(images, 2)`.

    `orientations` are those of their files, int, or `(images,)` of them.

    The corners of a box are rounded to the nearest pixel, halves to even, and what lies beyond the
    image is black: so `PIL.Image.crop` has it, to which the reference code of the revisited Oxford
    and Paris sets (Radenović et al. 2018, `example_process_images.py`) gives the boxes as they are.

    Raises:
        UserError: If a box is empty, or a tenth of it or more lies outside its image.
        ValueError: If boxes or turns are not one for each image.
    """
    _check_lengths(images)
    orientations = np.where(images.are_upright(), orientations, 1)
    whole = np.array(sizes, np.int64)
    whole = shapes = np.where(is_lying(orientations)[:, None], whole[:, ::-1], whole)
    boxes, turns = None, None
    is_whole = images.boxes is None or np.isnan(images.boxes).any(axis=1, keepdims=True)
    if not np.all(is_whole):
        rounded = np.rint(np.where(is_whole, 0.0, images.boxes)).astype(np.int64)
        boxes = np.where(is_whole, _whole_boxes(whole), rounded)
        _check_boxes(images, boxes, whole)
        shapes = np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)
    if images.turns is not None and np.any(images.turns):
        turns = np.asarray(images.turns, np.int64) % 4
        shapes = np.where((turns % 2 == 1)[:, None], shapes[:, ::-1], shapes)
    orientations = orientations if np.any(orientations != 1) else None
    return Views(np.asarray(images.paths), whole, boxes, turns, shapes, None, orientations)


def _check_lengths(images):
    for name, rows in (("boxes", images.boxes), ("turns", images.turns)):
        if rows is not None and len(rows) != len(images):
            raise ValueError(
                f"`{name}` must have one row for each image. "
                f"Received: {len(rows)} {name} for {len(images)} images"
            )


def _whole_boxes(sizes):
    return np.pad(sizes[:, ::-1], [(0, 0), (2, 0)])


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


def decoding_ratios(shapes, sizes):
    """The largest ratios at which images have twice the pixels that they are needed with.

    Of stored heights and widths, int `(images, 2)`, and `describing.sizes`: int64 `(images,)`, of
    `images.RATIOS`.
    """
    planned = [np.stack(size.planned_size(*shapes.T), axis=1).max(axis=1) for size in sizes]
    needed = _MARGIN * np.max(planned, axis=0)
    ratios = np.ones(len(shapes), np.int64)
    for ratio in RATIOS:
        ratios[scaled_side(shapes.max(axis=1), ratio) >= needed] = ratio
    return ratios


def are_jpeg(paths):
    """bool `(images,)`: which files begin as JPEG does; False for those that can't be read."""
    is_jpeg = np.zeros(len(paths), bool)
    for place in np.flatnonzero([content_size(path) for path in paths]):
        with contextlib.suppress(OSError), Path(paths[place]).open("rb") as file:
            is_jpeg[place] = file.read(3) == b"\xff\xd8\xff"
    return is_jpeg
