"""The learned whitening Lw of GeM, and the pairs of matching images it is learned from."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.whitening import covariance
from darac_tf.whitening.covariance import blocks, scatter, symmetric_eigen
from darac_tf.whitening.files import fitted

_BLOCK_PAIRS = 4096


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
        shrinkage: s in [0, 1], by which C_S is shrunk (`whitening.covariance`). "auto" takes Ledoit
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
    covariance.check_fit(descriptors, dim, shrinkage, image_keys)
    n_samples, full_dim = descriptors.shape
    _check_pairs(first, second, n_samples)
    # Refuses NaN with its row.
    _, mean_square, _ = covariance.moments(descriptors, with_scatter=False)
    root, facts = _inverse_root(descriptors, first, second, mean_square, shrinkage)
    mean = _mean_of_rows(descriptors, first)
    total = scatter((block - mean for block in blocks(descriptors)), full_dim) / n_samples
    inner = root.T @ total @ root
    eigenvalues, vectors = symmetric_eigen((inner + inner.T) / 2)
    facts = {"kind": "learned", "samples": n_samples, "pairs": len(first), **facts}
    projection = covariance.with_fixed_signs(root @ vectors[:, :dim]).T
    provenance = {**(provenance or {}), **facts}
    return fitted(mean, projection, eigenvalues[:dim], image_keys, provenance)


def _inverse_root(descriptors, first, second, mean_square, shrinkage):
    """`(D, D)` R with `R^T C_S R = I`; C_S's rank before shrinkage, and the shrinkage, as facts."""
    n_pairs, dim = len(first), mean_square.size
    total = scatter(_differences(descriptors, first, second), dim)
    values, vectors = symmetric_eigen(total / n_pairs)
    floor = covariance.noise_floor(values, mean_square, descriptors.dtype)
    rank = int(np.sum(values > floor))
    by = "given"
    if shrinkage == covariance.AUTO:
        apart, by = _differences(descriptors, first, second), "Ledoit-Wolf"
        shrinkage = covariance.ledoit_wolf(values, apart, n_pairs, dim)
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
    root = vectors / np.sqrt(covariance.shrink(values, shrinkage, dim))
    return root, {"rank": rank, "shrinkage": float(shrinkage), "shrinkage_by": by}


def _mean_of_rows(descriptors, rows):
    """Mean over `rows`, each as often as it occurs, without a copy of them all."""
    counts = np.bincount(rows, minlength=descriptors.shape[0])
    total, start = 0.0, 0
    for block in blocks(descriptors):
        total = total + counts[start : start + len(block)] @ block
        start += len(block)
    return total / len(rows)


def _differences(descriptors, first, second):
    """Yields `(rows, D)` float64 blocks of `descriptors[first] - descriptors[second]`."""
    for start in range(0, len(first), _BLOCK_PAIRS):
        part = slice(start, start + _BLOCK_PAIRS)
        yield np.float64(descriptors[first[part]]) - np.float64(descriptors[second[part]])


def _check_pairs(first, second, n_samples):
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(
            "first and second must be (pairs,) with at least one pair. "
            f"Received: {first.shape} and {second.shape}"
        )
    rows = np.concatenate([first, second])
    if not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0 or rows.max() >= n_samples:
        found = f"{rows.dtype} {rows.min()}..{rows.max()}"
        raise ValueError(f"Pairs must hold integer rows in [0, {n_samples}). Received: {found}")
    if (same := first[first == second]).size:
        raise ValueError(f"A pair must be of two images. Received: row {same[0]} twice")


def matching_pairs(labels, max_pairs=None, seed=0):
    """Draws distinct pairs of images that have the same label.

    Each class is put on a circle in random order. Round r pairs every image with the one r places
    on, so that each image of a class occurs about equally often, and a class of c images has of
    the order of c pairs rather than c^2: large classes do not drown the small ones. Rounds are
    added until there are `max_pairs`; of the last one a random part is taken.

    Args:
        labels: `(images,)` integers or strings.
        max_pairs: Most pairs to draw, at least 1. None gives all pairs there are.
        seed: The same seed gives the same pairs.

    Returns:
        Tuple of int64 `(pairs,)` rows of the first and of the second image; no pair occurs twice,
        in either order.

    Raises:
        UserError: If no two images share a label.

    >>> matching_pairs(["a", "b", "a"])
    (array([2]), array([0]))
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must be (images,). Received: shape {labels.shape}")
    if max_pairs is not None and max_pairs < 1:
        raise ValueError(f"max_pairs must be at least 1. Received: {max_pairs}")
    random = np.random.default_rng(seed)
    rows, places, starts, counts = _circles(labels, random)
    chosen, wanted = [], np.inf if max_pairs is None else max_pairs
    for step in range(1, int(counts.max(initial=0)) // 2 + 1):
        # At half of an even circle each pair would come up from both its ends.
        is_new = (2 * step < counts) | ((2 * step == counts) & (places < step))
        at = np.flatnonzero(is_new)
        if len(at) > wanted:
            at = random.choice(at, int(wanted), replace=False)
        chosen.append((rows[at], rows[starts[at] + (places[at] + step) % counts[at]]))
        wanted -= len(at)
        if wanted <= 0:
            break
    if not chosen:
        raise UserError("no two images of the whitening set share a label: use a labelled set")
    first, second = (np.concatenate(rows) for rows in zip(*chosen, strict=True))
    return first, second


def _circles(labels, random):
    """Rows grouped by label, shuffled within; place on, start and size of each one's circle."""
    shuffled = random.permutation(len(labels))
    _, numbers, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return shuffled[order], np.arange(len(labels)) - starts, starts, np.repeat(counts, counts)
