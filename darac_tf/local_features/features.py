"""The local features of one image."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Local features of one image, those of the highest attention first.

    Attributes:
        descriptors: float `(n, dim)` unit vectors.
        locations: float32 `(n, 2)`, x and y of the features' centres in pixels of the stored image,
            whose upper left corner is (0, 0) and whose first pixel has its centre at (0.5, 0.5).
        attention: float32 `(n,)`, falling.
        long_side: The longer side, in pixels, of the part of the image that was looked at.
    """

    descriptors: np.ndarray
    locations: np.ndarray
    attention: np.ndarray
    long_side: float

    def __len__(self):
        return len(self.descriptors)


def no_features(dim, long_side=0.0):
    """`LocalFeatures` of an image without any."""
    return LocalFeatures(
        np.zeros((0, dim), np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros(0, np.float32),
        long_side,
    )
