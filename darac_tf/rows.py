"""Descriptors as rows of NumPy arrays: checks before they are compared, L2 normalisation, and what
reads like such an array."""

import numpy as np

from darac_tf.errors import UserError


class LazyRows:
    """What reads like a float32 array `(rows, dim)`, and is computed or fetched when it is indexed.

    Classes have `shape` and `__getitem__` along the first axis, which gives a new array.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("Rows are made when they are read. Received: copy=False")
        return self[:].astype(dtype or self.dtype, copy=False)


def finite_rows(rows, what, first_row=0):
    """Converts descriptors `(n, D)` to float64 and refuses NaN and infinity.

    `what` they are, and the number of the `first_row` within the whole array, are for the message.

    Raises:
        UserError: If a value is NaN or infinite; names the first such row.
    """
    rows = np.asarray(rows, np.float64)
    is_bad = ~np.isfinite(rows).all(axis=1)
    if is_bad.any():
        raise UserError(
            f"row {first_row + int(np.argmax(is_bad))} of the {what} holds NaN or infinity: "
            "check the model's weights, then compute the descriptors again"
        )
    return rows


def check_dimensions(queries, database):
    """`UserError` if `(Q, D)` queries and a `(N, D)` database differ in dimension."""
    if queries.shape[1] != database.shape[1]:
        raise UserError(
            f"queries have {queries.shape[1]} dimensions but the database has "
            f"{database.shape[1]}: describe both with the same model and whitening"
        )


def unit_rows(x):
    """Scales rows of finite numbers `(rows, dim)` to an L2 norm of 1; those of zeros stay zeros.

    >>> unit_rows([[3, 4], [0, 0]])
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    x = np.asarray(x, np.float64)
    # Squares of entries far from 1 would leave the range of floats.
    largest = np.abs(x).max(axis=1, keepdims=True, initial=0)
    x = x / np.where(largest == 0, 1, largest)
    norms = np.sqrt(np.square(x).sum(axis=1, keepdims=True))
    return (x / np.where(norms == 0, 1, norms)).astype(np.float32)
