"""Vectors made elsewhere, such as by a server, in one file that `eval.py` reads.

An image is found by the content of its file (`data.content_keys`), not by its path: a set may
move, and a changed image is not taken for the one that was described.
"""

import dataclasses
from pathlib import Path

import numpy as np

from darac_tf.archives import read_archive, write_archive
from darac_tf.data.content_keys import keys_of_images
from darac_tf.errors import UserError

SUFFIX = ".npz"
_NAMES = ("paths", "vectors", "valid", "keys")


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureFile:
    """Vectors of image files."""

    paths: np.ndarray  # String array `(images,)`, where the images were; for messages only.
    vectors: np.ndarray  # float32 `(images, dim)`, finite.
    valid: np.ndarray  # bool `(images,)`, False for images that could not be decoded.
    keys: np.ndarray  # uint64 `(images, 2)`, `keys_of_images` of the files.
    provenance: dict  # Plain JSON values: what made the vectors.
    name: str = "features"  # What reports call it.

    def __post_init__(self):
        count, vectors = self.paths.size, self.vectors
        is_table = vectors.ndim == 2 and len(vectors) == count and vectors.shape[1] > 0
        is_right = {
            "paths": self.paths.dtype.kind == "U" and self.paths.ndim == 1,
            "vectors": is_table and vectors.dtype == np.float32 and np.isfinite(vectors).all(),
            "valid": self.valid.dtype == bool and self.valid.shape == (count,),
            "keys": self.keys.dtype == np.uint64 and self.keys.shape == (count, 2),
            "provenance": isinstance(self.provenance, dict),
        }
        for name, right in is_right.items():
            if not right:
                raise ValueError(
                    f"`{name}` must fit the {count} images of the file, and be finite. "
                    f"Received: {getattr(self, name)!r:.200}"
                )

    def save(self, path):
        """Writes a `.npz` file, see `archives.write_archive`."""
        write_archive(path, {name: getattr(self, name) for name in _NAMES}, self.provenance)

    def rows_of(self, paths):
        """The rows of `vectors` that are those of image files: `(n,)` paths to int64 `(n,)`.

        Those of images that can't be read may be -1. `UserError` if the file does not have another.
        """
        place = {key.tobytes(): row for row, key in enumerate(self.keys)}
        keys = keys_of_images(paths)
        rows = np.array([place.get(key.tobytes(), -1) for key in keys], np.int64)
        missing = np.flatnonzero((rows < 0) & keys.any(axis=1))
        if len(missing):
            raise UserError(
                f"{self.name} has no vector of {paths[missing[0]]} ({len(missing)} of "
                f"{len(paths)} images are missing, or were changed since): describe them with "
                "python -m darac_tf.serving.describe"
            )
        return rows


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
