"""Covariances of descriptors that need not fit in memory: their eigenvectors, rank and shrinkage.

Shrinkage moves a covariance towards a multiple of the identity, for few samples:
`C_s = (1 - s) C + s trace(C) / D I`, with s in [0, 1]. It has the eigenvectors of C; each
eigenvalue moves the share s of the way to their mean. For s > 0 it has full rank.

Source: Ledoit, Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
Journal of Multivariate Analysis, 2004.
"""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.rows import finite_rows

AUTO = "auto"
_BLOCK_ROWS = 4096


def blocks(descriptors):
    """Yields `(rows, D)` float64 blocks of `(n, D)` descriptors; refuses NaN and names its row."""
    for start in range(0, descriptors.shape[0], _BLOCK_ROWS):
        yield finite_rows(descriptors[start : start + _BLOCK_ROWS], "whitening descriptors", start)


def moments(descriptors, with_scatter=True):
    """What a covariance needs of `(n, D)` descriptors, in one pass; refuses what `blocks` does.

    Blocks are centred by their own means and then put together, so that nothing is subtracted that
    is larger than the result.

    Returns:
        Tuple of the mean and the mean square of each dimension, `(D,)` float64 both, and the sum
        of `(x - mean)(x - mean)^T`, `(D, D)` float64; None instead without `with_scatter`.

    Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.
    """
    n_samples, dim = descriptors.shape
    mean, squares = np.zeros((2, dim))
    total, count = np.zeros((dim, dim)) if with_scatter else None, 0
    for block in blocks(descriptors):
        own, n = block.mean(axis=0), len(block)
        squares += np.square(block).sum(axis=0)
        if with_scatter:
            centred = block - own
            total += centred.T @ centred
            total += np.outer(own - mean, (own - mean) * (count * n / (count + n)))
        count += n
        mean += (own - mean) * (n / count)
    return mean, squares / n_samples, total


def scatter(rows, dim):
    """The sum of `x x^T` over an iterable of `(rows, D)` blocks of x, `(D, D)` float64."""
    total = np.zeros((dim, dim))
    for block in rows:
        total += block.T @ block
    return total


def symmetric_eigen(matrix):
    """Falling eigenvalues `(D,)`, at least 0, and eigenvectors `(D, D)`, one a column."""
    values, vectors = np.linalg.eigh(matrix)
    return np.clip(values[::-1], 0.0, None), vectors[:, ::-1]


def noise_floor(eigenvalues, mean_square, dtype):
    """The largest of falling eigenvalues of a covariance that rounding alone can make.

    Two sources: `eigh` in float64, relative to the largest eigenvalue; and the rounding of the
    descriptors, of this `(D,)` mean square, to their own dtype. The latter tells apart a collapsed
    model, whose descriptors differ in the last bit only.
    """
    of_eigh = mean_square.size * np.finfo(np.float64).eps * eigenvalues[0]
    relative = np.finfo(dtype).eps if np.issubdtype(dtype, np.floating) else 0.0
    return max(of_eigh, float(relative) ** 2 * mean_square.max())


def with_fixed_signs(vectors):
    """Turns each column so that its largest entry is positive."""
    size = np.abs(vectors)
    # The first of nearly equal entries, because rounding decides which of them is largest.
    lead = np.argmax(size >= (1 - 1e-6) * size.max(axis=0), axis=0)
    return vectors * np.where(vectors[lead, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def parse_shrinkage(text):
    """Reads `--whiten_shrinkage`: "auto", or a float in [0, 1]; anything else is a `UserError`."""
    if text == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 1:
        raise UserError(f'--whiten_shrinkage={text} is neither "auto" nor a number in [0, 1]')
    return value


def check_fit(descriptors, dim, shrinkage, image_keys):
    """Refuses arguments of `fit_pca_whitening` that no whitening can be fitted with."""
    if len(descriptors.shape) != 2:
        raise ValueError(f"descriptors must be (n, D). Received: {descriptors.shape}")
    n_samples, full_dim = descriptors.shape
    if dim is not None and dim < 1:
        raise ValueError(f"dim must be at least 1. Received: {dim}")
    if shrinkage != AUTO and (isinstance(shrinkage, str) or not 0 <= shrinkage <= 1):
        raise ValueError(f'shrinkage must be "auto" or in [0, 1]. Received: {shrinkage!r}')
    keys = np.zeros((n_samples, 2), np.uint64) if image_keys is None else image_keys
    if keys.shape != (n_samples, 2) or keys.dtype != np.uint64:
        raise ValueError(
            f"image_keys must be uint64 ({n_samples}, 2). Received: {keys.dtype} {keys.shape}"
        )
    if dim is not None and dim > full_dim:
        raise UserError(
            f"can't whiten descriptors of {full_dim} dimensions to {dim}: pass "
            f"--whiten_dim={full_dim} or less"
        )


def shrink(eigenvalues, shrinkage, dim):
    """Eigenvalues of `C_s` from those of C, of which there are `dim`; those left out are zero.

    >>> shrink(np.array([4.0, 2.0]), 0.5, dim=3)
    array([3., 2.])
    """
    return (1 - shrinkage) * eigenvalues + shrinkage * eigenvalues.sum() / dim


def ledoit_wolf(eigenvalues, rows, n_samples, dim):
    """Ledoit and Wolf's estimate of the best s, that of the smallest expected squared error.

    `s = min(b, d) / d` with `b = (sum_i ||x_i||^4 / n - ||C||^2) / n`, the sampling error of C,
    and `d = ||C||^2 - trace(C)^2 / D`, its distance to the target; x are the centred samples.

    The eigenvalues are those of `C = sum_i x_i x_i^T / n` (divisor n), where those left out are
    zero; `rows` are blocks of x. The result is 0 where C is a multiple of the identity already.
    """
    fourth = sum(np.square(np.square(block).sum(axis=1)).sum() for block in rows)
    square = float(np.square(eigenvalues).sum())
    error = (float(fourth) / n_samples - square) / n_samples
    distance = square - float(eigenvalues.sum()) ** 2 / dim
    return float(np.clip(error / distance, 0.0, 1.0)) if distance > 0 else 0.0
