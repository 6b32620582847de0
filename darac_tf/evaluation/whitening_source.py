"""Where the whitening of an evaluation comes from: fitted on images, or read from a file."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from darac_tf.data import LabelledImages
from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError
from darac_tf.evaluation.task import benchmark_task
from darac_tf.metrics import query_truth
from darac_tf.whitening import (
    Whitening,
    check_not_test_set,
    fit_learned_whitening,
    fit_pca_whitening,
    matching_pairs,
)

# Each with what the table calls it.
KINDS = {"pca": "PCA", "learned": "Lw"}
# As many as GeM's training set has in an epoch, and enough for 2048 dimensions.
_MAX_PAIRS = 20_000
# Keeps the choice of images apart from other random numbers under the same seed.
_STREAM = 6


@dataclass(frozen=True)
class FittingImages:
    """Images with classes, or with pairs that match."""

    name: str  # What reports call them.
    images: ImageList
    labels: np.ndarray | None = None  # int `(images,)`, or None.
    # Two int arrays `(pairs,)`, places of a query and of one of its positives; or None.
    pairs: tuple | None = None
    orientation: str | None = None  # Of own photographs, "upright" or "stored"; or None.

    @classmethod
    def of(cls, images, kind="pca"):
        """Those of `LabelledImages`, or of a `RetrievalSet`.

        Of a benchmark, PCA takes the database, and a learned whitening the queries as well. These
        are looked at as it is searched with them, in their boxes; a query that is looked at as a
        whole and is in the database is there once. All that is relevant (easy and hard, good and
        ok) is a positive; a query's own image is not.
        """
        if isinstance(images, LabelledImages):
            is_paired = kind != "pca" and images.pairs is not None
            pairs = tuple(images.pairs.T) if is_paired else None
            orientation = "upright" if images.upright else "stored"
            return cls(images.name, images.image_list(), images.labels, pairs, orientation)
        if kind == "pca":
            return cls(images.name, images.database)
        task = benchmark_task(images)
        return cls(images.name, task.images, pairs=_query_positive_pairs(images, task.queries))

    def some(self, count, seed):
        """These with at most `count` images, all if it is None.

        Where there are pairs, images of random ones; otherwise each class has its share of images,
        up to two, two by two so that a learned whitening finds pairs.
        """
        total = len(self.images)
        if count is None or count >= total:
            return self
        random = np.random.default_rng([seed, _STREAM])
        if self.pairs is not None:
            chosen = random.permutation(len(self.pairs[0]))[: count // 2]
            rows = np.unique([places[chosen] for places in self.pairs])
        else:
            order = random.permutation(total)
            if self.labels is not None:
                order = order[np.argsort(self.labels[order], kind="stable")]
            blocks = count // 2
            starts = (np.arange(blocks) + random.random()) * ((total - 1) / blocks)
            rows = np.unique(order[starts.astype(int)[:, None] + [0, 1]])
        return FittingImages(
            f"{self.name} ({len(rows):,} of {total:,} images)",
            self.images.select(rows),
            None if self.labels is None else self.labels[rows],
            None if self.pairs is None else tuple(self._pairs_within(rows)),
            self.orientation,
        )

    def pairs_among(self, rows, max_pairs, seed):
        """Two int arrays, the places in `rows` of at most `max_pairs` pairs that match.

        `rows` are int `(n,)`, the places in `images` of those that could be read, rising. That none
        of them match is a `UserError`.
        """
        if self.pairs is None:
            return matching_pairs(self.labels[rows], max_pairs, seed)
        pairs = self._pairs_within(rows)
        count = pairs.shape[1]
        if not count:
            raise UserError(f"{self.name}: no query has a positive; use another whitening set")
        if count > max_pairs:
            chosen = np.random.default_rng(seed).choice(count, max_pairs, replace=False)
            pairs = pairs[:, np.sort(chosen)]
        return tuple(pairs)

    def _pairs_within(self, rows):
        """int `(2, pairs)`: the places in `rows` of the pairs that have both images there."""
        place = np.full(len(self.images), -1)
        place[rows] = np.arange(len(rows))
        found = place[np.array(self.pairs)]
        return found[:, (found >= 0).all(axis=0)]


@dataclass(frozen=True)
class WhiteningSource:
    """A whitening that is fitted for each descriptor and resolution setting, or a given one."""

    fitting: FittingImages | None = None  # What to fit on, or None with `loaded`.
    loaded: Whitening | None = None  # Read from a file, or None with `fitting`.
    kind: str = "pca"  # Or "learned" (GeM's Lw), from pairs of images that match.
    dim: int | None = None  # Dimension after whitening; None keeps all.
    shrinkage: float | str = 0.0  # See `fit_pca_whitening`.
    power: float = 0.5  # See `fit_pca_whitening`; for "pca" only.
    seed: int = 0  # Of the pairs.
    allow_on_test: bool = False  # Go on where its images are test images, and say so.

    @property
    def images(self):
        """`ImageList` of the images to fit on, or None."""
        return None if self.fitting is None else self.fitting.images

    @cached_property
    def _keys(self):
        return keys_of_images(self.fitting.images.paths)

    def check(self, task):
        """As `check_not_test_set`, for the images of a `Task`."""
        fitted_on = self.loaded if self.fitting is None else self.fitting.images.paths
        return check_not_test_set(fitted_on, task.images.paths, self.allow_on_test, task.name)

    def check_dimensions(self, dimensions):
        """Refuses to fit descriptors of these lengths on fewer images than that takes.

        The rank of n descriptors is n - 1 at most. `UserError` naming the `dim` that works.
        """
        if self.fitting is None or self.shrinkage:
            return
        count = len(self.fitting.images)
        wanted = max(dimensions, default=0)
        if self.kind == "pca":
            wanted = min(self.dim or wanted, wanted)
        if wanted < count:
            return
        works = f"--whiten_dim={count - 1} or less, " if self.kind == "pca" and count > 1 else ""
        raise UserError(
            f"a whitening to {wanted} dimensions needs more than the {count} images of "
            f"{self.fitting.name}: pass {works}--whiten_shrinkage=auto, or use more images"
        )

    def describe(self):
        """A few words for the table."""
        if self.fitting is None:
            facts = self.loaded.provenance
            kind, images = facts.get("kind", "pca"), facts.get("images", "unknown images")
        else:
            kind, images = self.kind, self.fitting.name
        return f"{KINDS.get(kind, kind)} on {images}"

    def fit(self, described):
        """Fits a `Whitening` on `sources.DescribedVectors` of the images.

        `UserError` if there are too few images or pairs, or they are not of full rank.
        """
        rows = np.flatnonzero(described.usable)
        vectors, keys = described.vectors.of(rows), self._keys[rows]
        options = {
            "dim": self.dim,
            "provenance": {
                "descriptor": described.name,
                "resolutions": list(described.sizes),
                "images": self.fitting.name,
                **({"orientation": how} if (how := self.fitting.orientation) else {}),
            },
            "shrinkage": self.shrinkage,
            "image_keys": keys if keys.any() else None,  # Files that are not there have none.
        }
        if self.kind == "pca":
            return fit_pca_whitening(vectors, power=self.power, **options)
        first, second = self.fitting.pairs_among(rows, _MAX_PAIRS, self.seed)
        return fit_learned_whitening(np.asarray(vectors), first, second, **options)


def _query_positive_pairs(benchmark, queries):
    """Two int64 arrays: places of queries and of their positives, each pair once."""
    own = np.full(len(queries), -1) if benchmark.own_rows is None else benchmark.own_rows
    pairs = [
        (place, row)
        for query, place in enumerate(queries)
        for row in sorted(query_truth(benchmark, query).positives - {own[query]})
    ]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second
