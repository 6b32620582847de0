"""Descriptors of a data set, described once, and the principal directions that heads start from."""

import numpy as np

from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sources import load_sources
from darac_tf.whitening.pca import fit_pca_whitening


def describe(spec, weights, images, size, cache_dir):
    """Descriptors of images, from the cache where it has them.

    Args:
        spec: As `describing.sources.load_sources` takes it, such as `BACKBONE+ramac`.
        weights: Of a `keras.applications` backbone.
        images: `LabelledImages`.
        size: Long side in pixels.
        cache_dir: Folder of the cache; None for none.

    Returns:
        float32 `(images, channels)`.
    """
    source = load_sources([spec], weights)[0]
    cache = None if cache_dir is None else FeatureCache(cache_dir, source.fingerprints())
    return extract_features(source.describe, images.paths, [size], cache)[size][spec][:]


def principal_directions(training, dim, *others):
    """Vectors along the directions of the largest variance of the training vectors, L2-normalised.

    The directions are in falling order and not whitened, so that the first d of them are PCA to d.

    Args:
        training: `(images, channels)`; PCA is learned on these.
        dim: Directions.
        *others: More vectors `(images, channels)`.

    Returns:
        List of float32 `(images, dim)`, of the training vectors and the others.
    """
    pca = fit_pca_whitening(training, dim, power=0)
    projected = [(x - pca.mean) @ pca.projection.T for x in (training, *others)]
    return [(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in projected]
