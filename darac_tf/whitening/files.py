"""The whitening itself: keeping it in a file, and refusing to test it on its own images."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from darac_tf.archives import DamagedArchiveError, read_archive, write_archive
from darac_tf.data.content_keys import file_sizes, fingerprint, keys_of_images
from darac_tf.errors import UserError

FLAG = "--allow_whiten_on_test"
# In the provenance of a whitening that others have published: whose it is.
PUBLISHED = "published"
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
        """Writes the file, see `archives.write_archive`, which also says what is raised."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.image_keys is not None:
            arrays["image_keys"] = self.image_keys
        write_archive(path, arrays, self.provenance)

    def check_orientation(self, orientation):
        """`UserError` if own photographs that it was fitted on were turned in another way."""
        own = self.provenance.get("orientation", orientation)
        if own != orientation:
            raise UserError(
                f"--whitening was fitted on images with --orientation={own}, which is "
                f"{orientation} now: give the same, or fit it again"
            )


def fitted(mean, projection, eigenvalues, image_keys, provenance):
    """A `Whitening` whose provenance names its set of images, where that is known."""
    if image_keys is not None:
        image_keys = np.unique(image_keys, axis=0)
        provenance = {**provenance, "images_fingerprint": fingerprint(image_keys)}
    return Whitening(mean, projection, eigenvalues, provenance, image_keys)


def load_whitening(path):
    """The `Whitening` that `Whitening.save` wrote to `path`; pickled objects are refused, not run.

    `UserError` if the file is missing, damaged or something else.
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
    mean, projection, eigenvalues = (arrays[name] for name in _ARRAYS)
    fits = (
        mean.ndim == eigenvalues.ndim == 1
        and projection.shape == (eigenvalues.size, mean.size)
        and isinstance(provenance, dict)
    )
    if not fits or not all(np.isfinite(arrays[name]).all() for name in _ARRAYS):
        raise UserError(
            f"{path} does not hold a usable whitening: mean {mean.shape}, projection "
            f"{projection.shape}, eigenvalues {eigenvalues.shape}; learn it again"
        )
    if not _keys_fit(arrays["image_keys"], provenance.get("images_fingerprint")):
        raise UserError(
            f"{path} does not hold the list of images that it was fitted on: learn it again"
        )
    return Whitening(**arrays, provenance=provenance)


def _keys_fit(image_keys, expected):
    """Whether keys are those of a fingerprint; both may be None."""
    if image_keys is None:
        return expected is None
    is_keys = image_keys.dtype == np.uint64 and image_keys.ndim == 2 and image_keys.shape[1] == 2
    return is_keys and expected in (None, fingerprint(image_keys))


def check_not_test_set(fitted_on, test_paths, allow=False, test_name=""):
    """Refuses test images that a whitening was fitted on, wherever their files lie.

    Images are the same when their files have the same content (`data.content_keys`): the same
    photograph under another path is found, the same one compressed anew is not. Files that are not
    there are known by their paths. Only files of the test set whose size occurs in the whitening's
    set are read.

    Args:
        fitted_on: `Whitening`, or the paths of the images that one will be fitted on.
        test_paths: `(images,)` paths of the test set: the database and the queries.
        allow: What to do about images in both: go on and say so, or refuse.
        test_name: What the test set is called. A published whitening names the set that it was
            fitted on, and not its images: it is refused where the one name holds the other.

    Returns:
        None where no image is in both; else a sentence for the report.

    Raises:
        UserError: Unless `allow`, if an image is in both (says how many, and names the first in the
            order of the test set), or the whitening does not say what it was fitted on.
    """
    sizes = file_sizes(test_paths)
    keys = _known_keys(fitted_on, sizes)
    if keys is None:
        if allow:
            return f"The images that the whitening was fitted on are not known ({FLAG})."
        own = fitted_on.provenance.get("images")
        if fitted_on.provenance.get(PUBLISHED) and not _are_alike(own, test_name):
            return f"The whitening is published, fitted on {own}, of which only the name is known."
        raise UserError(
            "the whitening does not say which images it was fitted on, so they may be test "
            f"images: fit it again, or pass {FLAG}"
        )
    candidates = np.flatnonzero(np.isin(sizes, keys[:, 0]) & (sizes > 0))
    hashes = keys_of_images([test_paths[i] for i in candidates])[:, 1]
    shared = candidates[np.isin(hashes, keys[:, 1])]
    if not isinstance(fitted_on, Whitening):
        # Vectors may be measured of images that are not there.
        is_same = np.isin(test_paths, fitted_on) & (sizes == 0)
        shared = np.union1d(shared, np.flatnonzero(is_same))
    if not shared.size:
        return None
    found = f"{shared.size} of the {len(test_paths)} test images"
    if allow:
        return f"The whitening was fitted on {found} ({FLAG}), so its scores are optimistic."
    raise UserError(
        f"the whitening is fitted on {found}, the first being {test_paths[shared[0]]}: fit it on "
        f"other images, or pass {FLAG}"
    )


def _are_alike(*names):
    """Whether one of two names of image sets holds the other, as ROxford5k holds oxford5k."""
    short, long = sorted((re.sub(r"[\W_]", "", str(name).lower()) for name in names), key=len)
    return bool(short) and short in long


def _known_keys(fitted_on, sizes):
    """Keys of the images that may be among files of these sizes; None where not known."""
    if isinstance(fitted_on, Whitening):
        return fitted_on.image_keys
    alike = np.flatnonzero(np.isin(file_sizes(fitted_on), sizes))
    return keys_of_images([fitted_on[i] for i in alike])
