"""The protocol of labelled collections: an image of the query's class is a positive."""

from dataclasses import dataclass

import numpy as np

from darac_tf.evaluation.metrics import mean_scores, retrieval_scores
from darac_tf.evaluation.search import search


@dataclass(frozen=True)
class Retrieval:
    """Rankings of all queries and what they score.

    Attributes:
        queries: int `(Q,)`, rows of the collection that are queries.
        database: int `(N,)`, rows of the collection that are searched.
        rankings: int `(Q, K)`, rows of the collection, best first, the query itself left out.
        similarities: float32 `(Q, K)`, dot products.
        scores: Dictionary of per-query arrays (`metrics.retrieval_scores`).
        means: Dictionary of metric name to mean (`metrics.mean_scores`).
    """

    queries: np.ndarray
    database: np.ndarray
    rankings: np.ndarray
    similarities: np.ndarray
    scores: dict
    means: dict


def leave_one_out(descriptors, labels):
    """Every image is a query, and is searched for among all the others.

    Args:
        descriptors: `(images, dim)` unit vectors.
        labels: `(images,)` integers.

    Returns:
        `Retrieval`.

    Raises:
        UserError: If no image has another of its class, or a descriptor is not finite.
    """
    everyone = np.arange(len(labels))
    rankings, similarities = search(descriptors, descriptors, exclude=everyone)
    scores = retrieval_scores(rankings, labels, labels, own_index=everyone)
    return Retrieval(everyone, everyone, rankings, similarities, scores, mean_scores(scores))


def query_split(descriptors, labels, is_query):
    """Some images are queries, and are searched for among the rest.

    Args:
        descriptors: `(images, dim)` unit vectors.
        labels: `(images,)` integers.
        is_query: Boolean `(images,)`.

    Returns:
        `Retrieval`.

    Raises:
        UserError: If no query has a positive, or a descriptor is not finite.
    """
    queries, database = np.flatnonzero(is_query), np.flatnonzero(~is_query)
    rankings, similarities = search(descriptors[queries], descriptors[database])
    scores = retrieval_scores(rankings, labels[queries], labels[database])
    means = mean_scores(scores)
    return Retrieval(queries, database, database[rankings], similarities, scores, means)
