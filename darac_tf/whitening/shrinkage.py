"""Shrinking a covariance towards a multiple of the identity, for few samples.

`C_s = (1 - s) C + s trace(C) / D I`, with s in [0, 1]. It has the eigenvectors of C; each
eigenvalue moves the share s of the way to their mean. For s > 0 it has full rank.

Source: Ledoit, Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
Journal of Multivariate Analysis, 2004.
"""

import numpy as np

from darac_tf.errors import UserError

AUTO = "auto"


def parse_shrinkage(text):
    """Reads the flag `--whiten_shrinkage`.

    Args:
        text: "auto", or a number in [0, 1].

    Returns:
        "auto" or a float.

    Raises:
        UserError: If it is something else.
    """
    if text == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 1:
        raise UserError(f'--whiten_shrinkage={text} is neither "auto" nor a number in [0, 1]')
    return value


def check_shrinkage(shrinkage):
    """Refuses what is neither "auto" nor a number in [0, 1].

    Raises:
        ValueError: If it is something else.
    """
    if shrinkage == AUTO:
        return
    if isinstance(shrinkage, str) or not 0 <= shrinkage <= 1:
        raise ValueError(f'shrinkage must be "auto" or in [0, 1]. Received: {shrinkage!r}')


def shrink(eigenvalues, shrinkage, dim):
    """Eigenvalues of `C_s` from those of C.

    Args:
        eigenvalues: Eigenvalues of C, where those left out are zero.
        shrinkage: s in [0, 1].
        dim: D, the number of all eigenvalues.

    Returns:
        float64 array of the shape of `eigenvalues`.

    >>> shrink(np.array([4.0, 2.0]), 0.5, dim=3)
    array([3., 2.])
    """
    return (1 - shrinkage) * eigenvalues + shrinkage * eigenvalues.sum() / dim


def ledoit_wolf(eigenvalues, fourth_moment, n_samples, dim):
    """Ledoit and Wolf's estimate of the best s, that of the smallest expected squared error.

    `s = min(b, d) / d` with `b = (sum_i ||x_i||^4 / n - ||C||^2) / n`, the sampling error of C,
    and `d = ||C||^2 - trace(C)^2 / D`, its distance to the target; x are the centred samples.

    Args:
        eigenvalues: Eigenvalues of `C = sum_i x_i x_i^T / n` (divisor n), where those left out
            are zero.
        fourth_moment: `sum_i ||x_i||^4`.
        n_samples: n.
        dim: D.

    Returns:
        Float in [0, 1]; 0 where C is a multiple of the identity already.
    """
    square = float(np.square(eigenvalues).sum())
    error = (fourth_moment / n_samples - square) / n_samples
    distance = square - float(eigenvalues.sum()) ** 2 / dim
    if distance <= 0:
        return 0.0
    return float(np.clip(error / distance, 0.0, 1.0))
