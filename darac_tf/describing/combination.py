"""From descriptors at single resolutions to the vectors that are compared."""

import numpy as np
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.layers import PCAWhitening, l2_normalize

COMBINATIONS = ("sum", "mean", "gmean")
DEFAULT_EXPONENT = 3.0

_NEGATIVE = (
    'the generalised mean ("gmean") needs descriptors without negative values, as of networks that '
    'end in a ReLU: combine these by "sum"'
)


def combine_resolutions(descriptors, mode="sum", exponent=None):
    """Combines the unit vectors of one image at several resolutions into one unit vector.

    With x_1..x_k the L2-normalised descriptors of an image, each component apart:

    - "sum": `L2(x_1 + ... + x_k)`.
    - "mean": `L2((x_1 + ... + x_k) / k)`. The last L2 takes the factor 1 / k away, so it is the
      sum, and is computed as such.
    - "gmean": `L2((mean(x^p))^(1/p))` with p = `exponent`. It is the sum for p = 1, and nears the
      largest of the values as p grows. Powers of negative values are not defined, so they are
      refused; in a graph that fails when it runs, with the same message.

    Args:
        descriptors: Non-empty list of tensors or arrays `(batch, channels)`, one a resolution.
        mode: One of `COMBINATIONS`.
        exponent: p of "gmean", at least 1; None gives 3, the usual start of GeM's p. The source
            takes the network's learned p.

    Returns:
        float32 tensor `(batch, channels)` of unit vectors; zero where all x are zero.

    Raises:
        UserError: If "gmean" meets a negative value.
        ValueError: If an argument is out of its range, or `exponent` is given for another mode.

    Source: sum: DARAC (arXiv 1909.09420), multi-resolution; generalised mean: Radenovic, Tolias,
    Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018, multi-scale.
    """
    _check_arguments(descriptors, mode, exponent)
    units = [l2_normalize(vectors) for vectors in descriptors]
    if mode == "gmean":
        p = DEFAULT_EXPONENT if exponent is None else float(exponent)
        return l2_normalize(_generalised_mean(tf.stack(units), p))
    return l2_normalize(tf.add_n(units))


def _generalised_mean(units, p):
    """`(resolutions, batch, channels)` to `(batch, channels)`, up to the factor k^(1/p)."""
    is_allowed = tf.logical_not(tf.reduce_any(units < 0))  # NaN is not for here to refuse
    if tf.executing_eagerly() and not is_allowed:
        raise UserError(_NEGATIVE)
    with tf.control_dependencies([tf.debugging.Assert(is_allowed, [_NEGATIVE])]):
        # The largest is taken out: x^p alone leaves float32's range for p of 20 or so.
        largest = tf.reduce_max(units, axis=0)
    is_zero = largest == 0
    ratios = units / tf.where(is_zero, 1.0, largest)
    powers = tf.reduce_sum(ratios**p, axis=0)
    return largest * tf.where(is_zero, 1.0, powers) ** (1.0 / p)


def _check_arguments(descriptors, mode, exponent):
    if not len(descriptors):
        raise ValueError(f"There must be at least one resolution. Received: {descriptors}")
    if mode not in COMBINATIONS:
        raise ValueError(f"mode must be one of {COMBINATIONS}. Received: {mode!r}")
    if exponent is None:
        return
    if mode != "gmean":
        raise ValueError(f'exponent is for the mode "gmean" only. Received: {mode!r}, {exponent}')
    # Below 1, k^(1/p) leaves float32's range, and no source uses such p.
    if not 1 <= exponent < np.inf:
        raise ValueError(f"exponent must be finite and at least 1. Received: {exponent}")


def whitening_layer(whitening, channels):
    """The `PCAWhitening` layer of a fitted whitening, of whatever kind.

    Args:
        whitening: `whitening.Whitening`.
        channels: Length of the descriptors it is meant for.

    Raises:
        UserError: If it is for descriptors of another length.
    """
    expected = whitening.projection.shape[1]
    if channels != expected:
        raise UserError(
            f"the whitening is for descriptors of {expected} dimensions, and these have "
            f"{channels}: fit it with the same model"
        )
    mean, projection = (np.asarray(x, np.float32) for x in (whitening.mean, whitening.projection))
    return PCAWhitening.from_arrays(mean, projection)
