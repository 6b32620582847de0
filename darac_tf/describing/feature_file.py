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
    """Vectors of image files.

    Attributes:
        paths: String array `(images,)`, where the images were; for messages only.
        vectors: float32 `(images, dim)`, finite.
        valid: bool `(images,)`, False for images that could not be decoded.
        keys: uint64 `(images, 2)`, `keys_of_images` of the files.
        provenance: Plain JSON values: what made the vectors.
        name: What reports call it.
    """

    paths: np.ndarray
    vectors: np.ndarray
    valid: np.ndarray
    keys: np.ndarray
    provenance: dict
    name: str = "features"

    def __post_init__(self):
        fault = _fault(self)
        if fault:
            raise ValueError(f"arrays of a feature file must fit each other. Received: {fault}")

    def save(self, path):
        """Writes a `.npz` file without pickled objects, as a whole or not at all.

        Raises:
            UserError: If the file can't be written there.
            ValueError: If the provenance holds NaN or infinity.
            TypeError: If the provenance is not JSON.
        """
        write_archive(path, {name: getattr(self, name) for name in _NAMES}, self.provenance)

    def rows_of(self, paths):
        """Where image files are found in `vectors`.

        Args:
            paths: `(n,)` paths.

        Returns:
            int64 `(n,)`.

        Raises:
            UserError: If an image can't be read, or the file does not have it.
        """
        place = {key.tobytes(): row for row, key in enumerate(self.keys)}
        wanted = keys_of_images(paths)
        rows = np.array([place.get(key.tobytes(), -1) for key in wanted], np.int64)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            raise UserError(
                f"{self.name} has no vector of {paths[missing[0]]} ({len(missing)} of "
                f"{len(paths)} images are missing, or were changed since): describe them with "
                "python -m darac_tf.serving.describe"
            )
        return rows


def load_feature_file(path):
    """Reads what `FeatureFile.save` wrote; pickled objects are refused, not run.

    Raises:
        UserError: If the file is missing, damaged or something else.
    """
    path = Path(path)
    try:
        arrays, provenance = read_archive(path, dict.fromkeys(_NAMES))
        return FeatureFile(**arrays, provenance=provenance, name=str(path))
    except OSError as error:
        raise UserError(f"can't read the features {path}: {error.strerror}; check it") from error
    except ValueError as error:
        raise UserError(f"{path} is no feature file, or is damaged: make it again") from error


def _fault(file):
    """What does not fit, or None."""
    count = len(file.paths)
    shapes = {
        "paths": (file.paths.dtype.kind == "U", file.paths.shape, (count,)),
        "vectors": (file.vectors.dtype == np.float32, file.vectors.shape[:1], (count,)),
        "valid": (file.valid.dtype == bool, file.valid.shape, (count,)),
        "keys": (file.keys.dtype == np.uint64, file.keys.shape, (count, 2)),
    }
    for name, (is_type, shape, wanted) in shapes.items():
        if not is_type or shape != wanted:
            return f"{name} of {getattr(file, name).dtype} {getattr(file, name).shape}"
    if file.vectors.ndim != 2 or not file.vectors.shape[1]:
        return f"vectors of shape {file.vectors.shape}"
    if not np.isfinite(file.vectors).all():
        return "vectors with NaN or infinity"
    return None if isinstance(file.provenance, dict) else f"provenance {file.provenance!r:.100}"
