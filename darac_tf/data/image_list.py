"""Which pixels to describe: image files, the box that is looked at, and how each is turned."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageList:
    """Images as they go into the network.

    Attributes:
        paths: String array `(images,)`.
        boxes: float64 `(images, 4)`, the part of each image that is looked at as `xmin, ymin, xmax,
            ymax` in pixels of the stored image, or None for whole images. A row of NaN stands for
            a whole image.
        turns: int64 `(images,)`, quarter turns counter-clockwise (0..3) that make the stored image
            upright, after the crop; or None for images as they are stored.
    """

    paths: np.ndarray
    boxes: np.ndarray | None = None
    turns: np.ndarray | None = None

    def __len__(self):
        return len(self.paths)

    def box_of(self, index):
        """The box of one image, `(4,)` float64, or None where it is looked at as a whole."""
        if self.boxes is None or np.isnan(self.boxes[index]).any():
            return None
        return self.boxes[index]

    def turns_of(self, index):
        """Quarter turns counter-clockwise of one image, 0..3."""
        return 0 if self.turns is None else int(self.turns[index])
