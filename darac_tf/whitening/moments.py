"""Means and scatter matrices of descriptors that need not fit in memory."""

import numpy as np

from darac_tf.rows import finite_rows

_BLOCK_ROWS = 4096


def blocks(descriptors):
    """Yields `(rows, D)` float64 blocks of `descriptors`, `(n, D)` array or memmap.

    Raises:
        UserError: If a value is NaN or infinite; names the row.
    """
    for start in range(0, descriptors.shape[0], _BLOCK_ROWS):
        yield finite_rows(descriptors[start : start + _BLOCK_ROWS], "whitening descriptors", start)


def differences(descriptors, first, second):
    """Yields `(rows, D)` float64 blocks of `descriptors[first] - descriptors[second]`."""
    for start in range(0, len(first), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        yield np.float64(descriptors[first[part]]) - np.float64(descriptors[second[part]])


def moments(descriptors):
    """Mean and mean square of each dimension, `(D,)` float64 both.

    Raises:
        UserError: If a value is NaN or infinite; names the row.
    """
    total, squares = np.zeros(descriptors.shape[1]), np.zeros(descriptors.shape[1])
    for block in blocks(descriptors):
        total += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
    return total / descriptors.shape[0], squares / descriptors.shape[0]


def scatter(rows, dim):
    """The sum of `x x^T` over centred rows, `(D, D)` float64.

    Args:
        rows: Iterable of `(rows, D)` blocks of x.
        dim: D.
    """
    total = np.zeros((dim, dim))
    for block in rows:
        total += block.T @ block
    return total


def fourth_moment(rows):
    """The sum of `||x||^4` over the blocks of centred rows."""
    return float(sum(np.square(np.square(block).sum(axis=1)).sum() for block in rows))
