"""What a pooling is given before the first step: DIR's whitening of regional vectors."""

import numpy as np
import tensorflow as tf

from darac_tf.layers import WhitenedRMAC
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of
from darac_tf.whitening import fit_pca_whitening

# Images whose regional vectors the PCA is fitted on, 14 of each square image.
_MAX_IMAGES = 4000


def fit_pooling(model, batches, n_images):
    """Starts a `WhitenedRMAC` as the PCA whitening of its regional vectors; leaves others as is.

    Args:
        model: Descriptor.
        batches: Iterable of training batches `(images, labels)`, as many as are wanted.
        n_images: Images in the training set, which is seen once at most.

    Raises:
        UserError: If there are too few images for its dimension.

    Source: Gordo et al., arXiv 1610.07940, section 3.1. How many images is not given.
    """
    pooling = model.get_layer(POOLING_LAYER)
    if not isinstance(pooling, WhitenedRMAC):
        return
    network, preprocessing = backbone_of(model)

    @tf.function(reduce_retracing=True)
    def regional_vectors(images):
        vectors = pooling.regional_vectors(network(preprocessing(images), training=False))
        return tf.reshape(vectors, [-1, vectors.shape[-1]])

    found, seen = [], 0
    for images, _ in batches:
        found.append(regional_vectors(images).numpy())
        seen += len(images)
        if seen >= min(_MAX_IMAGES, n_images):
            break
    whitening = fit_pca_whitening(np.concatenate(found), dim=pooling.dim)
    pooling.set_whitening(whitening.mean, whitening.projection)
