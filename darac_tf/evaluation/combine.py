"""From descriptors at single resolutions to the vectors that are compared."""

import numpy as np
import tensorflow as tf

from darac_tf.layers import PCAWhitening, l2_normalize

_BLOCK_ROWS = 4096


def combine_resolutions(descriptors):
    """Sums the unit vectors of one image at several resolutions and normalises the sum.

    Args:
        descriptors: Non-empty list of tensors or arrays `(batch, channels)`, one a resolution.

    Returns:
        float32 tensor `(batch, channels)` of unit vectors.

    Source: DARAC (arXiv 1909.09420), multi-resolution.
    """
    return l2_normalize(tf.add_n([l2_normalize(vectors) for vectors in descriptors]))


def whitening_layer(whitening):
    """The `PCAWhitening` layer of a fitted `whitening.Whitening`."""
    mean, projection = (np.asarray(x, np.float32) for x in (whitening.mean, whitening.projection))
    return PCAWhitening.from_arrays(mean, projection)


def whiten(descriptors, whitening):
    """Applies a whitening to `(images, channels)` descriptors, block by block.

    Returns:
        float32 array `(images, dim)` of unit vectors.
    """
    layer = whitening_layer(whitening)
    starts = range(0, len(descriptors), _BLOCK_ROWS)
    return np.concatenate([layer(descriptors[s : s + _BLOCK_ROWS]).numpy() for s in starts])
