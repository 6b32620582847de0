"""From descriptors at single resolutions to the vectors that are compared."""

import functools

import numpy as np
import tensorflow as tf

from darac_tf.choices import COMBINATIONS
from darac_tf.errors import UserError
from darac_tf.layers import PCAWhitening, l2_normalize
from darac_tf.rows import LazyRows

_NEGATIVE = (
    'the generalised mean ("gmean") needs descriptors without negative values, as of networks that '
    'end in a ReLU: combine these by "sum"'
)


class Vectors(LazyRows):
    """Descriptors of several resolutions combined, and whitened if wanted, without a copy of all.

    Reads like a float32 array of unit vectors `(images, dim)`, by slices and integer arrays. They
    are computed by NumPy alone, so that many threads may read at once.

    Args:
        parts: Non-empty list of array-likes `(images, channels)`, one a resolution.
        mode, exponent: See `combine_resolutions`.
        whitening: `whitening.Whitening` to apply after, or None.
        rows: int `(images,)`, which rows of the parts are meant; None for all in their order.
    """

    def __init__(self, parts, mode="sum", exponent=None, whitening=None, rows=None):
        self._parts = parts
        self._combination = (mode, exponent)
        self._whitening = whitening
        self._rows = np.arange(parts[0].shape[0]) if rows is None else np.asarray(rows)
        channels, self._arrays = parts[0].shape[1], None
        if whitening is not None:
            self._arrays = whitening_arrays(whitening, channels)
            channels = whitening.projection.shape[0]
        self.shape = (len(self._rows), channels)

    def __getitem__(self, item):
        rows = self._rows[item]
        if not len(rows):
            return np.empty((0, self.shape[1]), np.float32)
        combined = combine_resolutions([part[rows] for part in self._parts], *self._combination)
        return combined if self._arrays is None else whiten(combined, *self._arrays)

    def in_memory(self):
        """These vectors as one array, where all that they are made of is in memory; else self."""
        return self[:] if all(type(part) is np.ndarray for part in self._parts) else self

    def of(self, rows):
        """The same vectors of some of the images, `(len(rows),)`."""
        return Vectors(self._parts, *self._combination, self._whitening, self._rows[rows])

    def whitened(self, whitening):
        """The same vectors with a whitening after them."""
        return Vectors(self._parts, *self._combination, whitening, self._rows)


def combine_resolutions(descriptors, mode="sum", exponent=None):
    """Combines the unit vectors of each image at several resolutions into one unit vector.

    With x_1..x_k the L2-normalised descriptors of an image, each component apart:

    - "sum": `L2(x_1 + ... + x_k)`.
    - "mean": the same, since the last L2 takes the factor 1 / k away.
    - "gmean": `L2((mean(x^p))^(1/p))` with p = `exponent`. It is the sum for p = 1, and nears the
      largest of the values as p grows. Powers of negative values are not defined, so they are
      refused.

    Args:
        descriptors: Non-empty list of arrays `(images, channels)`, one a resolution.
        mode: One of `COMBINATIONS`.
        exponent: p of "gmean", at least 1; None gives 3, the usual start of GeM's p. The source
            takes the network's learned p.

    Returns:
        float32 array `(images, channels)` of unit vectors; zero where all x are zero.

    Raises:
        UserError: If "gmean" meets a negative value.
        ValueError: If an argument is out of its range, or `exponent` is given for another mode.

    Source: sum: DARAC (arXiv 1909.09420), multi-resolution; generalised mean: Radenovic, Tolias,
    Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018, multi-scale.
    """
    p = _checked_exponent(descriptors, mode, exponent)
    units = [_unit(np.asarray(x, np.float32)) for x in descriptors]
    if mode != "gmean":
        return _unit(sum(units[1:], units[0]))
    if any((x < 0).any() for x in units):  # NaN is not for here to refuse
        raise UserError(_NEGATIVE)
    return _unit(_generalised_sum(np, units, p))


def combine_tensors(descriptors, mode="sum", exponent=None):
    """As `combine_resolutions`, but of tensors `(batch, channels)`, for graphs that are exported.

    Negative values for "gmean" fail when the graph runs.
    """
    p = _checked_exponent(descriptors, mode, exponent)
    units = [l2_normalize(vectors) for vectors in descriptors]
    if mode != "gmean":
        return l2_normalize(tf.add_n(units))
    is_allowed = ~tf.reduce_any(tf.stack(units) < 0)
    with tf.control_dependencies([tf.debugging.Assert(is_allowed, [_NEGATIVE])]):
        # Its gradient is not asked for, so that 0^(1/p) does no harm.
        return l2_normalize(_generalised_sum(tf, units, p))


def _generalised_sum(library, units, p):
    """`(x_1^p + ... + x_k^p)^(1/p)`, by NumPy or TensorFlow."""
    # The largest is taken out: x^p alone leaves float32's range for p of 20 or so.
    largest = functools.reduce(library.maximum, units)
    scale = library.where(largest == 0, library.ones_like(largest), largest)
    powers = sum((x / scale) ** p for x in units)
    return largest * powers ** (1 / p)


def _unit(x):
    """As `layers.l2_normalize`: float32 rows of length 1, or of zeros."""
    squares = np.square(x).sum(axis=1, keepdims=True)
    is_zero = squares < np.finfo(np.float32).tiny
    return x * np.where(is_zero, np.float32(0), 1 / np.sqrt(np.where(is_zero, 1, squares)))


def _checked_exponent(descriptors, mode, exponent):
    """p as a number; refuses bad arguments."""
    if not len(descriptors):
        raise ValueError(f"There must be at least one resolution. Received: {descriptors}")
    if mode not in COMBINATIONS:
        raise ValueError(f"mode must be one of {COMBINATIONS}. Received: {mode!r}")
    if exponent is None:
        return 3.0
    if mode != "gmean":
        raise ValueError(f'exponent is for the mode "gmean" only. Received: {mode!r}, {exponent}')
    # Below 1, k^(1/p) leaves float32's range, and no source uses such p.
    if not 1 <= exponent < np.inf:
        raise ValueError(f"exponent must be finite and at least 1. Received: {exponent}")
    return float(exponent)


def whiten(descriptors, mean, projection):
    """`L2(P (x - mean))` of each row, as the layer `PCAWhitening` computes it.

    All in float32: `(images, channels)`, `(channels,)` and P `(dim, channels)` to unit vectors
    `(images, dim)`.
    """
    return _unit((descriptors - mean) @ projection.T)


def whitening_arrays(whitening, channels):
    """Mean and projection, float32, of a `whitening.Whitening` for descriptors of some channels.

    `UserError` if it is for descriptors of another length.
    """
    expected = whitening.projection.shape[1]
    if channels != expected:
        raise UserError(
            f"the whitening is for descriptors of {expected} dimensions, and these have "
            f"{channels}: fit it with the same model"
        )
    return tuple(np.asarray(x, np.float32) for x in (whitening.mean, whitening.projection))


def whitening_layer(whitening, channels):
    """The `PCAWhitening` layer of a fitted whitening; see `whitening_arrays`."""
    return PCAWhitening.from_arrays(*whitening_arrays(whitening, channels))
