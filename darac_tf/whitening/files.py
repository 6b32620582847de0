"""The whitening itself, and keeping it in a file."""

import dataclasses
from pathlib import Path

import numpy as np

from darac_tf.archives import DamagedArchiveError, read_archive, write_archive
from darac_tf.data.content_keys import as_set, fingerprint
from darac_tf.errors import UserError

_ARRAYS = ("mean", "projection", "eigenvalues")


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """The map `y = P (x - mean)`, to be followed by an L2 normalisation.

    Attributes:
        mean: `(D,)` float64, subtracted first.
        projection: `(dim, D)` float64 P.
        eigenvalues: `(dim,)` float64, falling: the (shrunk) variances along the kept directions
            of PCA; for the learned whitening the variances of all descriptors in units of those
            of matching pairs.
        provenance: Where it comes from: plain JSON values such as the kind, the model and the
            name of the image set.
        image_keys: uint64 `(images, 2)`, the images it was fitted on (`keys_of_images`), or None
            where that is not known.
    """

    mean: np.ndarray
    projection: np.ndarray
    eigenvalues: np.ndarray
    provenance: dict
    image_keys: np.ndarray | None = None

    def save(self, path):
        """Writes a `.npz` file without pickled objects, as a whole or not at all.

        Args:
            path: File to write.

        Raises:
            UserError: If the file can't be written there.
            ValueError: If the provenance holds NaN or infinity.
            TypeError: If the provenance is not JSON.
        """
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.image_keys is not None:
            arrays["image_keys"] = self.image_keys
        write_archive(path, arrays, self.provenance)


def fitted(mean, projection, eigenvalues, image_keys, provenance):
    """A `Whitening` whose provenance names its set of images, where that is known."""
    if image_keys is not None:
        image_keys = as_set(image_keys)
        provenance = {**provenance, "images_fingerprint": fingerprint(image_keys)}
    return Whitening(mean, projection, eigenvalues, provenance, image_keys)


def check_image_keys(image_keys, n_samples):
    """Refuses keys that are not those of `n_samples` images.

    Raises:
        ValueError: If there are more or fewer, or they are something else.
    """
    if image_keys is None:
        return
    if image_keys.shape != (n_samples, 2) or image_keys.dtype != np.uint64:
        raise ValueError(
            f"image_keys must be uint64 ({n_samples}, 2). "
            f"Received: {image_keys.dtype} {image_keys.shape}"
        )


def load_whitening(path):
    """Reads what `Whitening.save` wrote; pickled objects are refused, not run.

    Args:
        path: The `.npz` file.

    Returns:
        `Whitening`.

    Raises:
        UserError: If the file is missing, damaged or something else.
    """
    path = Path(path)
    try:
        arrays, provenance = read_archive(
            path, dict.fromkeys(_ARRAYS, np.float64), optional=["image_keys"]
        )
    except OSError as error:
        raise UserError(
            f"can't read the whitening {path}: {error.strerror}; check the path"
        ) from error
    except DamagedArchiveError as error:
        raise UserError(f"{path} is not a whitening file, or is damaged: learn it again") from error
    image_keys = arrays.pop("image_keys")
    _check_contents(path, **arrays, provenance=provenance)
    _check_images(path, image_keys, provenance)
    return Whitening(**arrays, provenance=provenance, image_keys=image_keys)


def _check_contents(path, mean, projection, eigenvalues, provenance):
    fits = (
        mean.ndim == 1
        and projection.ndim == 2
        and projection.shape == (eigenvalues.size, mean.size)
        and eigenvalues.ndim == 1
        and isinstance(provenance, dict)
    )
    if not fits or not all(np.isfinite(a).all() for a in (mean, projection, eigenvalues)):
        raise UserError(
            f"{path} does not hold a usable whitening: mean {mean.shape}, projection "
            f"{projection.shape}, eigenvalues {eigenvalues.shape}; learn it again"
        )


def _check_images(path, image_keys, provenance):
    """Refuses a list of images that is not the one the provenance names."""
    expected = provenance.get("images_fingerprint")
    fits = image_keys is None or (
        image_keys.dtype == np.uint64 and image_keys.ndim == 2 and image_keys.shape[1] == 2
    )
    if fits and expected is not None:
        fits = image_keys is not None and fingerprint(image_keys) == expected
    if not fits:
        raise UserError(
            f"{path} does not hold the list of images that it was fitted on: learn it again"
        )
