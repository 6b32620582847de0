"""Scores of embeddings, leave-one-out."""

import numpy as np

from darac_tf.metrics import retrieval_scores
from darac_tf.ranking.exact_search import search


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


def recalls(embeddings, labels, cutoffs):
    """recall@K of each image among the others: the share with one of its class in the first K.

    Args:
        embeddings: Unit vectors `(images, dim)`.
        labels: `(images,)`.
        cutoffs: The K.

    Returns:
        List of numbers in [0, 1]; images that are alone in their class don't count.
    """
    own = np.arange(len(embeddings))
    rankings, _ = search(embeddings, embeddings, top_k=max(cutoffs), exclude=own)
    scores = retrieval_scores(rankings, labels, labels, own, cutoffs)
    return [float(np.nanmean(scores[f"r@{k}"])) for k in cutoffs]
