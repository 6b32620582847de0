"""Ranking by the matches of local features that agree on one affine map.

Noh et al., ICCV 2017, section 4.4: nearest neighbours, RANSAC, the number of inliers as the score.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from darac_tf.threads import in_order

# Three matches always fit an affine map.
_LEAST_MATCHES = 4


@dataclass(frozen=True)
class MatchSettings:
    """When features match, and when matches agree.

    There is no ratio test: the same spot comes at several scales, so that the second neighbour is
    often as near as the first, and rightly so.

    Attributes:
        max_distance: Largest Euclidean distance of matching descriptors, at most 2.
        tolerance: How far an inlier may be off, as a share of the second image's longer side.
        max_zoom: Largest change of size between two views, and its inverse the smallest; maps
            beyond, or that mirror, fold the image rather than show it anew: no inliers.
        iterations: Most samples of RANSAC.
    """

    max_distance: float = 0.8
    tolerance: float = 0.02
    max_zoom: float = 10.0
    iterations: int = 1000


class Matches(NamedTuple):
    """What two images have in common."""

    pairs: np.ndarray  # int64 `(matches, 2)`, places in the first and the second image's features.
    is_inlier: np.ndarray  # bool `(matches,)`.
    # float64 `(2, 3)`, x, y, 1 of the first image to x, y of the second; None where no map was
    # found.
    transform: np.ndarray | None

    @property
    def inliers(self):
        """How many matches agree."""
        return int(np.count_nonzero(self.is_inlier))


def match(first, second, settings=None):
    """The `Matches` of two images' features, with the affine map that most of them agree on.

    Of the `LocalFeatures` of the query, those of the same dimension of the other, and
    `MatchSettings`, None for its defaults. OpenCV's RANSAC draws the same samples every time: the
    same features give the same result. Fewer than four matches, and points on a line, have no
    inliers.
    """
    settings = settings or MatchSettings()
    pairs = mutual_neighbours(first.descriptors, second.descriptors, settings.max_distance)
    nothing = Matches(pairs, np.zeros(len(pairs), bool), None)
    if len(pairs) < _LEAST_MATCHES:
        return nothing
    transform, is_inlier = cv2.estimateAffine2D(
        np.ascontiguousarray(first.locations[pairs[:, 0]], np.float32),
        np.ascontiguousarray(second.locations[pairs[:, 1]], np.float32),
        method=cv2.RANSAC,
        ransacReprojThreshold=settings.tolerance * second.long_side,
        maxIters=settings.iterations,
    )
    if transform is None or np.count_nonzero(is_inlier) < _LEAST_MATCHES:
        return nothing
    zoomed_area = np.linalg.det(transform[:, :2])
    if not settings.max_zoom**-2 <= zoomed_area <= settings.max_zoom**2:  # NaN is not either
        return nothing
    return Matches(pairs, is_inlier.ravel().astype(bool), transform)


def mutual_neighbours(first, second, max_distance):
    """Pairs of `(n, dim)` and `(m, dim)` floats that are each other's nearest.

    Their Euclidean distance is at most `max_distance`. int64 `(pairs, 2)`, rows of the first and
    the second, in the order of the first.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"descriptors must have one dimension. Received: {first.shape} and {second.shape}"
        )
    if not len(first) or not len(second):
        return np.zeros((0, 2), np.int64)
    matcher = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True)
    found = matcher.match(*(np.ascontiguousarray(rows, np.float32) for rows in (first, second)))
    pairs = [(m.queryIdx, m.trainIdx) for m in found if m.distance <= max_distance]
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


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
        settings: `MatchSettings`.
        progress: Whether to show a progress bar.

    Returns:
        Tuple of `(Q, K)` int64 database rows, best first, and `(Q, K)` int64 inliers of each,
        -1 where it was not matched.

    Source: Noh et al., ICCV 2017, section 4.4.
    """
    rows, n_images = np.array(rows, np.int64), len(database_features)
    if depth is not None and depth < 1:
        raise ValueError(f"depth must be at least 1. Received: {depth}")
    if rows.ndim != 2 or len(rows) != len(query_features) or rows.max(initial=-1) >= n_images:
        raise ValueError(
            f"rows must be ({len(query_features)}, K) below {n_images}. Received: {rows.shape} "
            f"up to {rows.max(initial=-1)}"
        )
    inliers = np.full(rows.shape, -1, np.int64)
    places = np.argwhere(rows[:, :depth] >= 0)

    def count(place):
        query, rank = place
        return match(query_features[query], database_features[rows[query, rank]], settings).inliers

    with closing(in_order(count, places)) as counts:
        bar = tqdm(counts, "match", len(places), unit="pair", disable=not progress)
        inliers[tuple(places.T)] = list(bar)
    # What was not matched has -1 and comes last in its order: so it stays in its place.
    order = np.argsort(-inliers, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(inliers, order, axis=1)


def rank_by_inliers(query_features, database_features, exclude=None, settings=None, progress=True):
    """As `rerank_by_inliers`, but of all the database: K = N, or N - 1 with `exclude`.

    Args:
        query_features, database_features, settings, progress: As there.
        exclude: int `(Q,)`, the database row that is left out for each query, or None.
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
