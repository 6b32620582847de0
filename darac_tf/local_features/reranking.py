"""Ranking by the number of inliers: of a shortlist that another descriptor found, or of all."""

from contextlib import closing

import numpy as np
from tqdm import tqdm

from darac_tf.local_features.matching import match
from darac_tf.threads import in_order

NOT_MATCHED = -1


def rerank_by_inliers(
    rows, query_features, database_features, depth=100, settings=None, progress=True
):
    """Orders the first images of each ranking by their inliers with the query.

    Images with equally many inliers keep the order they were found in, and images behind `depth`
    stay where they are.

    Args:
        rows: int `(Q, K)` database rows, best first, -1 as padding at the end.
        query_features: Sequence of Q `LocalFeatures`.
        database_features: Sequence of `LocalFeatures` by database row, such as a `FeatureStore`.
        depth: Images of each ranking that are matched, at least 1; None for all.
        settings: `matching.MatchSettings`.
        progress: Whether to show a progress bar.

    Returns:
        Tuple of `(Q, K)` int64 database rows, best first, and `(Q, K)` int64 inliers of each,
        -1 where it was not matched.

    Raises:
        ValueError: If `depth` is below 1, or the shapes don't fit.

    Source: Noh et al., ICCV 2017, section 4.4.
    """
    rows = np.array(rows, np.int64)
    _check(rows, query_features, database_features, depth)
    inliers = np.full(rows.shape, NOT_MATCHED, np.int64)
    listed = np.zeros(rows.shape, bool)
    listed[:, :depth] = rows[:, :depth] >= 0
    places = np.argwhere(listed)

    def count(place):
        query, rank = place
        database = database_features[rows[query, rank]]
        return match(query_features[query], database, settings).inliers

    with (
        closing(in_order(count, places)) as counts,
        tqdm(total=len(places), desc="match", unit="pair", disable=not progress) as bar,
    ):
        for (query, rank), found in zip(places, counts, strict=True):
            inliers[query, rank] = found
            bar.update()
    # What was not matched has -1 and comes last in its order: so it stays in its place.
    order = np.argsort(-inliers, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(inliers, order, axis=1)


def rank_by_inliers(query_features, database_features, exclude=None, settings=None, progress=True):
    """Ranks the whole database for each query; equal images are in the order of the database.

    Args:
        query_features: Sequence of Q `LocalFeatures`.
        database_features: Sequence of N `LocalFeatures`.
        exclude: int `(Q,)`, the database row that is left out for each query, or None.
        settings: `matching.MatchSettings`.
        progress: Whether to show a progress bar.

    Returns:
        As `rerank_by_inliers`, with K = N, or N - 1 with `exclude`.

    Raises:
        ValueError: If `exclude` is not one row of the database for each query.
    """
    n_queries, count = len(query_features), len(database_features)
    rows = np.tile(np.arange(count), (n_queries, 1))
    if exclude is not None:
        exclude = np.asarray(exclude)
        if exclude.shape != (n_queries,) or ((exclude < 0) | (exclude >= count)).any():
            raise ValueError(
                f"`exclude` must be ({n_queries},) rows in [0, {count}). Received: {exclude}"
            )
        rows = rows[rows != exclude[:, None]].reshape(n_queries, count - 1)
    return rerank_by_inliers(rows, query_features, database_features, None, settings, progress)


def _check(rows, query_features, database_features, depth):
    if depth is not None and depth < 1:
        raise ValueError(f"depth must be at least 1. Received: {depth}")
    if rows.ndim != 2 or len(rows) != len(query_features):
        raise ValueError(f"rows must be ({len(query_features)}, K). Received: {rows.shape}")
    if rows.size and rows.max() >= len(database_features):
        raise ValueError(
            f"rows must be below the {len(database_features)} images. Received: {rows.max()}"
        )
