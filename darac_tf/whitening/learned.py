"""The learned whitening Lw of GeM, from pairs of images that match."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.whitening.eigen import noise_floor, symmetric_eigen, with_fixed_signs
from darac_tf.whitening.files import check_image_keys, fitted
from darac_tf.whitening.moments import (
    blocks,
    differences,
    fourth_moment,
    moments,
    scatter,
)
from darac_tf.whitening.shrinkage import AUTO, check_shrinkage, ledoit_wolf, shrink


def fit_learned_whitening(
    descriptors, first, second, dim=None, provenance=None, shrinkage=0.0, image_keys=None
):
    """Learns Lw: whitens what differs within matching pairs, then orders by what differs overall.

    With the pairs (i, j) and the mean m of `descriptors[first]`:

        C_S = mean over pairs of (x_i - x_j)(x_i - x_j)^T
        C_D = mean over all descriptors of (x - m)(x - m)^T
        P = V^T C_S^(-1/2), V the eigenvectors of C_S^(-1/2) C_D C_S^(-1/2)^T, falling

    so that `P C_S P^T = I` and `P C_D P^T = diag(eigenvalues)`. These are the definitions of the
    authors' code; the paper sums C_D over non-matching pairs. Any root of C_S, such as the inverse
    Cholesky factor of that code, gives the same P up to the signs of its rows, which are fixed
    here by making each row's largest entry positive. Where C_S is singular that code adds a small
    multiple of the identity; here that is an error, unless `shrinkage` asks for it.

    Args:
        descriptors: `(n, D)` finite floats, array or memmap; those of images that are not in the
            test set.
        first: int `(pairs,)`, the row of one image of each pair; where pairs are of a query and
            a positive, that of the query.
        second: int `(pairs,)`, the row of the other image (see `matching_pairs`).
        dim: Directions of the largest eigenvalues to keep, in [1, D]. None keeps all.
        provenance: Dict of JSON values to keep with it, such as "images", the name of the image
            set; "kind", "samples", "pairs", "rank" (of C_S), "shrinkage", "shrinkage_by" and,
            with `image_keys`, "images_fingerprint" are added.
        shrinkage: s in [0, 1], by which C_S is shrunk (`whitening.shrinkage`). "auto" takes Ledoit
            and Wolf's estimate for the differences, as if pairs that share an image were
            independent.
        image_keys: As in `fit_pca_whitening`.

    Returns:
        `Whitening` with a projection `(dim, D)`.

    Raises:
        UserError: If a descriptor is NaN or infinite, `dim` exceeds D, or the differences span
            fewer than D dimensions without shrinkage.
        ValueError: If an argument has the wrong shape or range, or a pair is one image twice.

    Source: Mikolajczyk, Matas, "Improving descriptors for fast tree matching by optimal linear
    projection", ICCV 2007; Radenović, Tolias, Chum, "CNN image retrieval learns from BoW", ECCV
    2016, and "Fine-tuning CNN image retrieval with no human annotation", PAMI 2018.
    """
    first, second = np.asarray(first), np.asarray(second)
    _check_arguments(descriptors, first, second, dim, shrinkage, image_keys)
    n_samples, full_dim = descriptors.shape
    _, mean_square = moments(descriptors)  # refuses NaN with its row
    root, rank, amount = _inverse_root(descriptors, first, second, mean_square, shrinkage)
    mean = _mean_of_rows(descriptors, first)
    total = scatter((block - mean for block in blocks(descriptors)), full_dim) / n_samples
    inner = root.T @ total @ root
    eigenvalues, vectors = symmetric_eigen((inner + inner.T) / 2)
    facts = {
        "kind": "learned",
        "samples": n_samples,
        "pairs": len(first),
        "rank": rank,
        "shrinkage": amount,
        "shrinkage_by": "Ledoit-Wolf" if shrinkage == AUTO else "given",
    }
    projection = with_fixed_signs(root @ vectors[:, :dim]).T
    provenance = {**(provenance or {}), **facts}
    return fitted(mean, projection, eigenvalues[:dim], image_keys, provenance)


def _inverse_root(descriptors, first, second, mean_square, shrinkage):
    """`(D, D)` R with `R^T C_S R = I`, the rank of C_S before shrinkage, and the shrinkage."""
    n_pairs, dim = len(first), mean_square.size
    total = scatter(differences(descriptors, first, second), dim)
    values, vectors = symmetric_eigen(total / n_pairs)
    floor = noise_floor(values, mean_square, descriptors.dtype)
    rank = int(np.sum(values > floor))
    if shrinkage == AUTO:
        fourth = fourth_moment(differences(descriptors, first, second))
        shrinkage = ledoit_wolf(values, fourth, n_pairs, dim)
    lifted = shrinkage * values.sum() / dim > floor
    if rank == 0:
        raise UserError(
            f"can't learn a whitening: the descriptors of all {n_pairs} matching pairs are equal; "
            "check the model's weights or use pairs of different photographs"
        )
    if rank < dim and not lifted:
        raise UserError(
            f"can't learn a whitening from {n_pairs} matching pairs: their differences span {rank} "
            f"of {dim} dimensions; use more pairs, or pass a larger --whiten_shrinkage"
        )
    return vectors / np.sqrt(shrink(values, shrinkage, dim)), rank, float(shrinkage)


def _mean_of_rows(descriptors, rows):
    """Mean over `rows`, each as often as it occurs, without a copy of them all."""
    counts = np.bincount(rows, minlength=descriptors.shape[0])
    total, start = np.zeros(descriptors.shape[1]), 0
    for block in blocks(descriptors):
        total += counts[start : start + len(block)] @ block
        start += len(block)
    return total / len(rows)


def _check_arguments(descriptors, first, second, dim, shrinkage, image_keys):
    if len(descriptors.shape) != 2:
        raise ValueError(f"descriptors must be (n, D). Received: {descriptors.shape}")
    n_samples, full_dim = descriptors.shape
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(
            "first and second must be (pairs,) with at least one pair. "
            f"Received: {first.shape} and {second.shape}"
        )
    rows = np.concatenate([first, second])
    if not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0 or rows.max() >= n_samples:
        raise ValueError(
            f"Pairs must hold integer rows in [0, {n_samples}). "
            f"Received: {rows.dtype} {rows.min()}..{rows.max()}"
        )
    if (first == second).any():
        pair = int(np.argmax(first == second))
        raise ValueError(f"A pair must be of two images. Received: row {first[pair]} twice")
    if dim is not None and dim < 1:
        raise ValueError(f"dim must be at least 1. Received: {dim}")
    check_shrinkage(shrinkage)
    check_image_keys(image_keys, n_samples)
    if dim is not None and dim > full_dim:
        raise UserError(
            f"can't whiten descriptors of {full_dim} dimensions to {dim}: pass "
            f"--whiten_dim={full_dim} or less"
        )
