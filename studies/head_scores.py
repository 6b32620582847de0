"""Scores of embeddings, leave-one-out, from one product of matrices."""

import numpy as np


def average_precisions(embeddings, labels):
    """Plain AP of each image among the others, which have its class or not.

    The order of equal cosines is arbitrary, as of the copies of an image.

    Args:
        embeddings: Unit vectors `(images, dim)`.
        labels: `(images,)`; each class has two images at least.

    Returns:
        float32 `(images,)` in [0, 1].
    """
    similarities = embeddings @ embeddings.T
    np.fill_diagonal(similarities, -np.inf)
    order = np.argsort(-similarities, axis=1)[:, :-1]
    hits = labels[order] == labels[:, np.newaxis]
    precision = np.cumsum(hits, axis=1) / np.arange(1, len(labels))
    return (np.where(hits, precision, 0).sum(axis=1) / hits.sum(axis=1)).astype(np.float32)
