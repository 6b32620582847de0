"""Eigenvectors of covariance matrices: in falling order, with fixed signs, without noise."""

import numpy as np

from darac_tf.whitening.moments import blocks, scatter


def symmetric_eigen(matrix):
    """Falling eigenvalues `(D,)`, at least 0, and eigenvectors `(D, D)`, one a column."""
    values, vectors = np.linalg.eigh(matrix)
    return np.clip(values[::-1], 0.0, None), vectors[:, ::-1]


def by_covariance(descriptors, mean):
    """Eigenvalues `(D,)` and eigenvectors `(D, D)` of the covariance (divisor n - 1)."""
    centred = (block - mean for block in blocks(descriptors))
    return symmetric_eigen(scatter(centred, mean.size) / (descriptors.shape[0] - 1))


def by_gram(descriptors, mean):
    """As `by_covariance`, but `(n,)` and `(D, n)`: all others have the eigenvalue zero.

    With X the centred descriptors, `X X^T u = s u` makes `X^T u` an eigenvector of `X^T X`.
    Columns beyond the rank mean nothing.
    """
    centred = np.concatenate(list(blocks(descriptors))) - mean
    values, vectors = symmetric_eigen(centred @ centred.T / (centred.shape[0] - 1))
    vectors = centred.T @ vectors
    norms = np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
    return values, vectors / norms


def noise_floor(eigenvalues, mean_square, dtype):
    """The largest eigenvalue that rounding alone can make.

    Two sources: `eigh` in float64, relative to the largest eigenvalue; and the rounding of the
    descriptors to their own dtype. The latter tells apart a collapsed model, whose descriptors
    differ in the last bit only.

    Args:
        eigenvalues: Falling eigenvalues of a covariance.
        mean_square: `(D,)` mean square of each dimension of the descriptors.
        dtype: dtype of the descriptors.
    """
    of_eigh = mean_square.size * np.finfo(np.float64).eps * eigenvalues[0]
    relative = np.finfo(dtype).eps if np.issubdtype(dtype, np.floating) else 0.0
    of_dtype = float(relative) ** 2 * mean_square.max()
    return max(of_eigh, of_dtype)


def with_fixed_signs(vectors):
    """Turns each column so that its largest entry is positive."""
    size = np.abs(vectors)
    # The first of nearly equal entries, because rounding decides which of them is largest.
    lead = np.argmax(size >= (1 - 1e-6) * size.max(axis=0), axis=0)
    return vectors * np.where(vectors[lead, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
