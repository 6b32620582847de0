"""The images that a whitening is fitted on, and which of them match."""

from dataclasses import dataclass

import numpy as np

from darac_tf.data import LabelledImages
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError
from darac_tf.evaluation.task import benchmark_task
from darac_tf.whitening import matching_pairs


@dataclass(frozen=True)
class FittingImages:
    """Images with classes, or with pairs that match.

    Attributes:
        name: What reports call them.
        images: `ImageList`.
        labels: int `(images,)`, or None.
        pairs: Two int arrays `(pairs,)`, places of a query and of one of its positives; or None.
    """

    name: str
    images: ImageList
    labels: np.ndarray | None = None
    pairs: tuple | None = None

    @classmethod
    def of(cls, images, kind="pca"):
        """Those of `LabelledImages`, or of a `RetrievalSet`.

        Of a benchmark, PCA takes the database, and a learned whitening the queries as well. These
        are looked at as it is searched with them, in their boxes; a query that is looked at as a
        whole and is in the database is there once. All that is relevant (easy and hard, good and
        ok) is a positive; a query's own image is not.
        """
        if isinstance(images, LabelledImages):
            return cls(images.name, ImageList(images.paths), labels=images.labels)
        if kind == "pca":
            return cls(images.name, images.database)
        task = benchmark_task(images)
        return cls(images.name, task.images, pairs=_query_positive_pairs(images, task.queries))

    def pairs_among(self, rows, max_pairs, seed):
        """Matching pairs of images that could be read.

        Args:
            rows: int `(n,)`, places of these in `images`, rising.
            max_pairs: Most pairs to take.
            seed: Of the choice.

        Returns:
            Two int arrays `(pairs,)`, places in `rows`.

        Raises:
            UserError: If there is no pair.
        """
        if self.pairs is None:
            return matching_pairs(self.labels[rows], max_pairs, seed)
        place = np.full(len(self.images), -1)
        place[rows] = np.arange(len(rows))
        first, second = place[self.pairs[0]], place[self.pairs[1]]
        both = np.flatnonzero((first >= 0) & (second >= 0))
        if not both.size:
            raise UserError(f"{self.name}: no query has a positive; use another whitening set")
        if len(both) > max_pairs:
            both = np.sort(np.random.default_rng(seed).choice(both, max_pairs, replace=False))
        return first[both], second[both]


def _query_positive_pairs(benchmark, queries):
    """Two int64 arrays: places of queries and of their positives, each pair once."""
    lists = [rows for name, rows in benchmark.relevance.items() if name != "junk"]
    first, second = [], []
    for query, place in enumerate(queries):
        positives = np.unique(np.concatenate([rows[query] for rows in lists]).astype(np.int64))
        if benchmark.own_rows is not None:
            positives = positives[positives != benchmark.own_rows[query]]
        first.append(np.full(len(positives), place, np.int64))
        second.append(positives)
    return np.concatenate(first), np.concatenate(second)
