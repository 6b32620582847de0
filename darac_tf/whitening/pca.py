"""PCA whitening, with shrinkage for few samples and a power for partial whitening."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.whitening import covariance
from darac_tf.whitening.covariance import blocks, symmetric_eigen
from darac_tf.whitening.files import fitted


def fit_pca_whitening(
    descriptors, dim=None, provenance=None, shrinkage=0.0, power=0.5, image_keys=None
):
    """Learns a PCA whitening (Jégou and Chum, ECCV 2012; DARAC deck, section 3).

    `P = diag(eigenvalues^-power) V^T`, V the eigenvectors of the covariance (divisor n - 1) and
    `eigenvalues` its eigenvalues after shrinkage. Power 0.5 whitens: without shrinkage,
    `y = P (x - mean)` has the identity as its covariance on the descriptors it is learned from.
    Power 0 is PCA alone, a rotation that leaves the variances as they are; between them the
    variances of y are `eigenvalues^(1 - 2 power)`.

    All is computed in float64, in one pass, or from the n x n Gram matrix where n < D. Each
    direction's sign is fixed by making its largest entry positive.

    Args:
        descriptors: `(n, D)` finite floats, array or memmap; those of images that are not in the
            test set.
        dim: Directions of the largest variance to keep, in [1, rank]; with shrinkage in [1, D].
            None keeps all D. Directions beyond the rank all have the same shrunk variance: any
            number of them short of all is an arbitrary choice.
        provenance: Dict of JSON values to keep with it, such as "images", the name of the image
            set; "kind", "samples", "rank", "shrinkage", "shrinkage_by", "power" and, with
            `image_keys`, "images_fingerprint" are added.
        shrinkage: s in [0, 1] of `whitening.covariance`; "auto" takes Ledoit and Wolf's estimate.
        power: In [0, 1].
        image_keys: uint64 `(n, 2)` keys of the images (`keys_of_images`), by which
            `check_not_test_set` recognises them; None where they are not files.

    Returns:
        `Whitening` with a projection `(dim, D)`.

    Raises:
        UserError: If a descriptor is NaN or infinite, there are fewer than two, or `dim` exceeds
            their rank without shrinkage: the share of variance beyond it is rounding noise, which
            whitening would blow up.
        ValueError: If `descriptors` is not a matrix, or another argument is out of its range.
    """
    covariance.check_fit(descriptors, dim, shrinkage, image_keys)
    if not 0 <= power <= 1:
        raise ValueError(f"power must be in [0, 1]. Received: {power}")
    n_samples, full_dim = descriptors.shape
    if n_samples < 2:
        raise UserError(f"whitening needs at least two images, but got {n_samples}: add images")
    dim = dim or full_dim
    few = n_samples < full_dim
    mean, mean_square, scatter = covariance.moments(descriptors, with_scatter=not few)
    axes = _axes_by_gram(descriptors, mean) if few else symmetric_eigen(scatter / (n_samples - 1))
    values, vectors = axes
    floor = covariance.noise_floor(values, mean_square, descriptors.dtype)
    rank = int(np.sum(values > floor))
    amount = shrinkage
    if shrinkage == covariance.AUTO:
        centred = (block - mean for block in blocks(descriptors))
        by_n = values * (n_samples - 1) / n_samples
        amount = covariance.ledoit_wolf(by_n, centred, n_samples, full_dim)
    lifted = amount * values.sum() / full_dim > floor
    if rank == 0:
        raise UserError(
            f"can't learn a whitening: the descriptors of all {n_samples} images are equal; "
            "check the model's weights or use other images"
        )
    if dim > (full_dim if lifted else rank):
        raise UserError(
            f"can't whiten to {dim} dimensions: the descriptors of the {n_samples} images have "
            f"rank {rank}; pass --whiten_dim={rank} or less, use more images, or pass a "
            "larger --whiten_shrinkage"
        )
    if dim > rank and few:
        _, _, scatter = covariance.moments(descriptors)
        values, vectors = symmetric_eigen(scatter / (n_samples - 1))
    eigenvalues = covariance.shrink(values, amount, full_dim)[:dim]
    facts = {
        "kind": "pca",
        "samples": n_samples,
        "rank": rank,
        "shrinkage": float(amount),
        "shrinkage_by": "Ledoit-Wolf" if shrinkage == covariance.AUTO else "given",
        "power": float(power),
    }
    projection = (covariance.with_fixed_signs(vectors[:, :dim]) * eigenvalues**-power).T
    return fitted(mean, projection, eigenvalues, image_keys, {**(provenance or {}), **facts})


def _axes_by_gram(descriptors, mean):
    """Eigenvalues and eigenvectors, one a column, of the covariance (divisor n - 1).

    With X the n centred descriptors, `X X^T u = s u` makes `X^T u` an eigenvector of `X^T X`: there
    are n, and those beyond the rank mean nothing.
    """
    centred = np.concatenate(list(blocks(descriptors))) - mean
    values, vectors = symmetric_eigen(centred @ centred.T / (len(centred) - 1))
    vectors = centred.T @ vectors
    norms = np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
    return values, vectors / norms
