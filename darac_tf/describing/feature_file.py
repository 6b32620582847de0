"""Vectors made elsewhere, such as by a server, in one file that `eval.py` reads.

A `.npz` file finds an image by the content of its file (`data.content_keys`), not by its path: a
set may move, and a changed image is not taken for the one that was described. What other tools
write (`vector_files`) has no contents: an image is found by its path and box, or by its place.
"""

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from darac_tf.archives import read_archive, write_archive
from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.images import unreadable
from darac_tf.data.labelled import as_text
from darac_tf.errors import UserError

SUFFIX = ".npz"
_NAMES = ("paths", "vectors", "valid", "keys")
# Two vectors of one image are the same up to what batches of other sizes change.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureFile:
    """Vectors of image files."""

    # String array `(images,)`: where the images were, which is for messages only where there are
    # `keys`; None for vectors in the order of the images.
    paths: np.ndarray | None
    vectors: np.ndarray  # float32 `(images, dim)`, finite.
    valid: np.ndarray  # bool `(images,)`, False for images that could not be decoded.
    keys: np.ndarray | None  # uint64 `(images, 2)`, `keys_of_images` of the files; None by path.
    provenance: dict  # Plain JSON values: what made the vectors.
    # float64 `(images, 4)`, of what part each vector is, as of `ImageList`; None for whole images.
    boxes: np.ndarray | None = None
    name: str = "features"  # What reports call it.

    def __post_init__(self):
        count, vectors = len(self.valid), self.vectors
        is_table = vectors.ndim == 2 and len(vectors) == count and vectors.shape[1] > 0
        paths, keys = self.paths, self.keys
        is_right = {
            "paths": paths is None or (paths.dtype.kind == "U" and paths.shape == (count,)),
            "vectors": is_table and vectors.dtype == np.float32 and np.isfinite(vectors).all(),
            "valid": self.valid.dtype == bool and self.valid.ndim == 1,
            "keys": keys is None or (keys.dtype == np.uint64 and keys.shape == (count, 2)),
            "provenance": isinstance(self.provenance, dict),
        }
        for name, right in is_right.items():
            if not right:
                raise ValueError(
                    f"`{name}` must fit the {count} images of the file, and be finite. "
                    f"Received: {getattr(self, name)!r:.200}"
                )

    @property
    def dimensions(self):
        """Lengths of its descriptors, of which there is one."""
        return [self.vectors.shape[1]]

    def save(self, path):
        """Writes a `.npz` file, see `archives.write_archive`."""
        write_archive(path, {name: getattr(self, name) for name in _NAMES}, self.provenance)

    def rows_of(self, images):
        """The rows of `vectors` that are those of an `ImageList`: int64 `(n,)`.

        -1 where there is none: of an image that can't be read, or is not named. `UserError` if an
        image with a content is not there, two images have the same end of their paths, or there are
        not as many as are wanted.
        """
        if self.keys is not None:
            return self._rows_by_content(images.paths)
        if self.paths is not None:
            return self._rows_by_path(images)
        if len(images) != len(self.vectors):
            raise UserError(
                f"{self.name} has {len(self.vectors)} vectors, and {len(images)} images are "
                "measured: give one for each, in the order of --list_images"
            )
        return np.arange(len(images))

    def fault(self, image, box, row):
        """Why an image, a path with a box `(4,)` or None, has no vector to compare.

        `row` is what `rows_of` gives.
        """
        if self.keys is not None:
            return unreadable(image)
        if row >= 0:
            return f"{self.name}: the vector of {image} is all zeros; describe it again"
        part = "" if box is None else f"the box {','.join(f'{x:g}' for x in box)} of "
        there = f"its first is of {self.paths[0]}"
        return f"{self.name} has no vector of {part}{image} ({there}); describe it"

    def _rows_by_content(self, paths):
        place = {key.tobytes(): row for row, key in enumerate(self.keys)}
        keys = keys_of_images(paths)
        rows = np.array([place.get(key.tobytes(), -1) for key in keys], np.int64)
        missing = np.flatnonzero((rows < 0) & keys.any(axis=1))
        if len(missing):
            raise UserError(
                f"{self.name} has no vector of {paths[missing[0]]} ({len(missing)} of "
                f"{len(paths)} images are missing, or were changed since): describe them with "
                "darac describe or python -m darac_tf.serving.describe"
            )
        return rows

    def _rows_by_path(self, images):
        if images.turns is not None and np.any(images.turns):
            raise UserError(
                f"{self.name} does not say how images are turned: give no --orientation=list, or "
                "vectors without names, in the order of --list_images"
            )
        rows = np.full(len(images), -1)
        for place, path in enumerate(images.paths):
            view = as_text(os.path.abspath(path)), _rounded(images.box_of(place))  # noqa: PTH100
            rows[place] = row = self._row_of(*view)
            if row >= 0 and (other := self._owners.setdefault(row, view)) != view:
                raise UserError(
                    f"{self.name}: {self.paths[row]} is the end of {other[0]} and of {view[0]}: "
                    "name images by longer paths"
                )
        return rows

    def _row_of(self, path, box):
        """The row of an absolute path, or of the longest of its ends that is named; -1 for none."""
        slash = path
        while slash:
            if (row := self._places.get((path, box))) is not None:
                return row
            _, slash, path = path.partition("/")
        return -1

    @functools.cached_property
    def _owners(self):
        """Dictionary of row to the `(path, box)` that it was given to."""
        return {}

    @functools.cached_property
    def _places(self):
        """Dictionary of `(path, box)` to row; `UserError` for two vectors of one."""
        places = {}
        for row, path in enumerate(self.paths):
            path = os.path.normpath(path)
            if path.startswith(".."):
                path = os.path.abspath(path)  # noqa: PTH100
            view = path, None if self.boxes is None else _rounded(self.boxes[row])
            first = places.setdefault(view, row)
            if first == row:
                continue
            if not np.allclose(*self.vectors[[first, row]], atol=_TOLERANCE):
                raise UserError(
                    f"{self.name} has two vectors of {self.paths[row]}, rows {first} and {row}"
                )
        return places


def _rounded(box):
    """A box as what is looked up; None for a whole image, `(4,)` of NaN or None."""
    return None if box is None or np.isnan(box).any() else tuple(np.round(box, 2).tolist())


def load_feature_file(path):
    """Reads what `FeatureFile.save` wrote; pickled objects are refused, not run.

    `UserError` if the file is missing, damaged or something else.
    """
    path = Path(path)
    try:
        arrays, provenance = read_archive(path, dict.fromkeys(_NAMES))
        return FeatureFile(**arrays, provenance=provenance, name=str(path))
    except OSError as error:
        raise UserError(f"can't read the features {path}: {error.strerror}; check it") from error
    except ValueError as error:
        raise UserError(f"{path} is no feature file, or is damaged: make it again") from error
