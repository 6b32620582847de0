"""PCA whitening of descriptors: learning it, and keeping it in a file."""

import dataclasses
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.evaluation.search import finite_rows
from darac_tf.files import atomic_path

_BLOCK_ROWS = 4096

# What NumPy, zipfile and json raise for files that are damaged or something else. RuntimeError
# covers zip features that Python lacks, IndexError a bare `.npy` array, which has no names.
_DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """The map `y = P (x - mean)`, to be followed by an L2 normalisation.

    Attributes:
        mean: `(D,)` float64 mean of the descriptors it was learned on.
        projection: `(dim, D)` float64 P = diag(eigenvalues^-1/2) V^T.
        eigenvalues: `(dim,)` float64 variances along the kept directions, falling.
        provenance: Where it comes from: plain JSON values such as the model and the images.
    """

    mean: np.ndarray
    projection: np.ndarray
    eigenvalues: np.ndarray
    provenance: dict

    def save(self, path):
        """Writes a `.npz` file without pickled objects, as a whole or not at all.

        Args:
            path: File to write.

        Raises:
            UserError: If the file can't be written there.
            ValueError: If the provenance holds NaN or infinity.
            TypeError: If the provenance is not JSON.
        """
        provenance = json.dumps(self.provenance, allow_nan=False)
        # An open file, because `np.savez` would add ".npz" to a name without it.
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                mean=self.mean,
                projection=self.projection,
                eigenvalues=self.eigenvalues,
                provenance=np.array(provenance),
            )


def fit_pca_whitening(descriptors, dim=None, provenance=None):
    """Learns a PCA whitening (Jégou and Chum, ECCV 2012; DARAC deck, section 3).

    On the descriptors it is learned from, `y = P (x - mean)` has the identity as its covariance
    (divisor n - 1). All is computed in float64, from the n x n Gram matrix where n < D. Each
    direction's sign is fixed by making its largest entry positive.

    Args:
        descriptors: `(n, D)` finite floats, array or memmap; those of images that are not in the
            test set.
        dim: Directions of the largest variance to keep, in [1, rank]. None keeps all D, which
            needs descriptors of full rank (n > D at least).
        provenance: Dict of JSON values to keep with it; "samples" and "rank" are added.

    Returns:
        `Whitening` with a projection `(dim, D)`.

    Raises:
        UserError: If a descriptor is NaN or infinite, there are fewer than two, or `dim` exceeds
            their rank: the share of variance beyond it is rounding noise, which whitening would
            blow up.
        ValueError: If `descriptors` is not a matrix or `dim` is below 1.
    """
    if len(descriptors.shape) != 2:
        raise ValueError(f"descriptors must be (n, D). Received: {descriptors.shape}")
    if dim is not None and dim < 1:
        raise ValueError(f"dim must be at least 1. Received: {dim}")
    n_samples, full_dim = descriptors.shape
    if n_samples < 2:
        raise UserError(f"whitening needs at least two images, but got {n_samples}: add images")
    mean, mean_square = _moments(descriptors)
    by_gram = n_samples < full_dim
    decompose = _eigenvectors_by_gram if by_gram else _eigenvectors_by_covariance
    eigenvalues, vectors = decompose(descriptors, mean)
    rank = _numerical_rank(eigenvalues, mean_square, descriptors.dtype)
    dim = full_dim if dim is None else dim
    _check_rank(dim, rank, n_samples)
    eigenvalues = eigenvalues[:dim]
    vectors = _with_fixed_signs(vectors[:, :dim])
    return Whitening(
        mean=mean,
        projection=(vectors / np.sqrt(eigenvalues)).T,
        eigenvalues=eigenvalues,
        provenance={**(provenance or {}), "samples": n_samples, "rank": rank},
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
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            mean, projection, eigenvalues = (
                np.asarray(archive[name], np.float64)
                for name in ("mean", "projection", "eigenvalues")
            )
            provenance = json.loads(str(archive["provenance"]))
    except OSError as error:
        raise UserError(
            f"can't read the whitening {path}: {error.strerror}; check the path"
        ) from error
    except _DAMAGE as error:
        raise UserError(f"{path} is not a whitening file, or is damaged: learn it again") from error
    _check_contents(path, mean, projection, eigenvalues, provenance)
    return Whitening(mean, projection, eigenvalues, provenance)


def _blocks(descriptors):
    for start in range(0, descriptors.shape[0], _BLOCK_ROWS):
        yield finite_rows(descriptors[start : start + _BLOCK_ROWS], "whitening descriptors", start)


def _moments(descriptors):
    """Mean and mean square of each dimension, `(D,)` both."""
    total, squares = np.zeros(descriptors.shape[1]), np.zeros(descriptors.shape[1])
    for block in _blocks(descriptors):
        total += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
    return total / descriptors.shape[0], squares / descriptors.shape[0]


def _eigenvectors_by_covariance(descriptors, mean):
    """Falling eigenvalues `(D,)` and eigenvectors `(D, D)`, one a column."""
    scatter = np.zeros((mean.size, mean.size))
    for block in _blocks(descriptors):
        centred = block - mean
        scatter += centred.T @ centred
    values, vectors = np.linalg.eigh(scatter / (descriptors.shape[0] - 1))
    return np.clip(values[::-1], 0.0, None), vectors[:, ::-1]


def _eigenvectors_by_gram(descriptors, mean):
    """As by covariance, but `(n,)` and `(D, n)`: all others have the eigenvalue zero.

    With X the centred descriptors, `X X^T u = s u` makes `X^T u` an eigenvector of `X^T X`.
    """
    centred = np.concatenate(list(_blocks(descriptors))) - mean
    values, vectors = np.linalg.eigh(centred @ centred.T / (centred.shape[0] - 1))
    vectors = centred.T @ vectors[:, ::-1]
    # Columns beyond the rank are about zero, and are dropped after this.
    norms = np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
    return np.clip(values[::-1], 0.0, None), vectors / norms


def _numerical_rank(eigenvalues, mean_square, dtype):
    """Number of eigenvalues above what rounding alone can make.

    Two sources: `eigh` in float64, relative to the largest eigenvalue; and the rounding of the
    descriptors to their own dtype. The latter tells apart a collapsed model, whose descriptors
    differ in the last bit only.
    """
    of_eigh = mean_square.size * np.finfo(np.float64).eps * eigenvalues[0]
    relative = np.finfo(dtype).eps if np.issubdtype(dtype, np.floating) else 0.0
    of_dtype = float(relative) ** 2 * mean_square.max()
    return int(np.sum(eigenvalues > max(of_eigh, of_dtype)))


def _check_rank(dim, rank, n_samples):
    if rank == 0:
        raise UserError(
            f"can't learn a whitening: the descriptors of all {n_samples} images are equal; "
            "check the model's weights or use other images"
        )
    if dim > rank:
        raise UserError(
            f"can't whiten to {dim} dimensions: the descriptors of the {n_samples} images have "
            f"rank {rank}; pass --whiten_dim={rank} or less, or use more images"
        )


def _with_fixed_signs(vectors):
    size = np.abs(vectors)
    # The first of nearly equal entries, because rounding decides which of them is largest.
    lead = np.argmax(size >= (1 - 1e-6) * size.max(axis=0), axis=0)
    return vectors * np.where(vectors[lead, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


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
