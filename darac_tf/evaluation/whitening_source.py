"""Where the whitening of an evaluation comes from: fitted on images, or read from a file."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from darac_tf.data.content_keys import keys_of_images
from darac_tf.evaluation.fitting_images import FittingImages
from darac_tf.whitening import (
    Whitening,
    check_not_test_set,
    fit_learned_whitening,
    fit_pca_whitening,
)

KINDS = ("pca", "learned")
# As many as GeM's training set has in an epoch, and enough for 2048 dimensions.
MAX_PAIRS = 20_000


@dataclass(frozen=True)
class WhiteningSource:
    """A whitening that is fitted for each descriptor and resolution setting, or a given one.

    Attributes:
        fitting: `FittingImages` to fit on, or None with `loaded`.
        loaded: `Whitening` read from a file, or None with `fitting`.
        kind: `"pca"`, or `"learned"` (GeM's Lw) from pairs of images that match.
        dim: Dimension after whitening; None keeps all.
        shrinkage: See `fit_pca_whitening`.
        power: See `fit_pca_whitening`; for `"pca"` only.
        seed: Of the pairs.
        allow_on_test: Go on where its images are test images, and say so in the report.
    """

    fitting: FittingImages | None = None
    loaded: Whitening | None = None
    kind: str = "pca"
    dim: int | None = None
    shrinkage: float | str = 0.0
    power: float = 0.5
    seed: int = 0
    allow_on_test: bool = False

    @property
    def images(self):
        """`ImageList` of the images to fit on, or None."""
        return None if self.fitting is None else self.fitting.images

    @cached_property
    def _keys(self):
        return keys_of_images(self.fitting.images.paths)

    def check(self, task):
        """Refuses test images that the whitening is fitted on.

        Args:
            task: `Task`.

        Returns:
            None, or with `allow_on_test` a sentence for the report.

        Raises:
            UserError: If there are any.
        """
        fitted_on = self.loaded if self.fitting is None else self.fitting.images.paths
        return check_not_test_set(fitted_on, task.images.paths, self.allow_on_test)

    def describe(self):
        """A few words for the table."""
        if self.fitting is None:
            facts = self.loaded.provenance
            return f"{_name(facts.get('kind', 'pca'))} on {facts.get('images', 'unknown images')}"
        return f"{_name(self.kind)} on {self.fitting.name}"

    def fit(self, vectors, rows, name, sizes):
        """Fits the whitening.

        Args:
            vectors: `Vectors` of the images to fit on.
            rows: int `(n,)`, those of them that could be read.
            name: The descriptor.
            sizes: The resolution setting.

        Returns:
            `Whitening`.

        Raises:
            UserError: If there are too few images or pairs, or they are not of full rank.
        """
        provenance = {
            "descriptor": name,
            "resolutions": list(map(str, sizes)),
            "images": self.fitting.name,
        }
        options = {
            "dim": self.dim,
            "provenance": provenance,
            "shrinkage": self.shrinkage,
            "image_keys": self._keys[rows],
        }
        if self.kind == "pca":
            return fit_pca_whitening(vectors.of(rows), power=self.power, **options)
        first, second = self.fitting.pairs_among(rows, MAX_PAIRS, self.seed)
        return fit_learned_whitening(np.asarray(vectors.of(rows)), first, second, **options)


def _name(kind):
    return {"pca": "PCA", "learned": "Lw"}.get(kind, kind)
