"""Local features in an evaluation: as what is compared, and as what re-ranks another's rankings."""

import contextlib
import dataclasses
import hashlib
import tempfile
from pathlib import Path

import numpy as np

from darac_tf.choices import ANTIALIAS, EXACT
from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.images import PIXELS_VERSION
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.describing.sizes import Factor
from darac_tf.errors import UserError
from darac_tf.evaluation.sources import Described, described
from darac_tf.local_features.extraction import ExtractionSettings, LocalExtractor
from darac_tf.local_features.matching import rank_by_inliers, rerank_by_inliers
from darac_tf.local_features.model import PCA_FILE, load_delf
from darac_tf.local_features.store import FeatureStore, write_features
from darac_tf.ranking.rank import Rankings
from darac_tf.whitening import Whitening, check_not_test_set, load_whitening


@dataclasses.dataclass(frozen=True, eq=False)
class LocalSource:
    """Local features by a trained attention and PCA."""

    name: str  # As given.
    model: object  # The model of attention and features.
    reduction: Whitening  # The PCA.
    allow_on_test: bool = False  # Go on where the PCA was fitted on test images, and say so.

    def check(self, images):
        """Notes for the report; refuses test images that the PCA was fitted on."""
        note = check_not_test_set(self.reduction, images.paths, self.allow_on_test)
        return (note,) if note else ()

    @contextlib.contextmanager
    def features(self, images, extraction, settings):
        """Yields the `FeatureStore` of an `ImageList`; it is kept where there is a cache folder."""
        with contextlib.ExitStack() as stack:
            root = settings.cache_dir or stack.enter_context(tempfile.TemporaryDirectory())
            folder = Path(root) / f"local-{self._key(images, extraction)}"
            if (folder / "facts.json").exists():
                yield FeatureStore(folder)
                return
            extractor = LocalExtractor(
                self.model, images, self.reduction, extraction, skip_bad=settings.skip_bad
            )
            # Images that can't be read are known when all features are written.
            facts = {"skipped": extractor.skipped}
            yield write_features(folder, extractor, extractor.dim, facts)

    def _key(self, images, extraction):
        """Of all that the features depend on."""
        digest = hashlib.sha256(model_fingerprint(self.model).encode())
        digest.update(self.reduction.projection.tobytes())
        digest.update(self.reduction.mean.tobytes())
        digest.update(repr((extraction, PIXELS_VERSION)).encode())
        digest.update(keys_of_images(images.paths).tobytes())
        for values in (images.boxes, images.turns, images.are_upright()):
            digest.update(b"-" if values is None else values.tobytes())
        return digest.hexdigest()[:16]


def load_local(path, allow_on_test=False):
    """Reads a run of `train.py --matching=local`; `UserError` if a file is missing or damaged."""
    model = load_delf(path)
    return LocalSource(str(path), model, load_whitening(Path(path) / PCA_FILE), allow_on_test)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DescribedLocally(Described):
    """Images by their local features: every one of the database is matched with every query."""

    store: FeatureStore
    dimension: int

    def rank(self, task, settings):
        """`Rankings` of the queries of a `Task`; of `RankingSettings`, `top_k` applies."""
        queries = [self.store[place] for place in task.queries]
        database = [self.store[place] for place in range(task.n_database)]
        rows, inliers = rank_by_inliers(queries, database, task.exclude)
        kept = slice(settings.top_k)
        return Rankings(rows[:, kept], inliers[:, kept].astype(np.float32))


@described.register
def _described_locally(source: LocalSource, images, settings):
    """Resolutions are factors of the image's size."""
    extractions = [extraction_at(sizes) for sizes in settings.resolutions]
    notes = source.check(images)
    for sizes, extraction in zip(settings.resolutions, extractions, strict=True):
        limit = f"Up to {extraction.max_features} local features an image, by inliers."
        with source.features(images, extraction, settings) as store:
            skipped = store.facts["skipped"].items()
            yield DescribedLocally(
                name=source.name,
                sizes=tuple(map(str, sizes)),
                skipped=[{"path": str(images.paths[int(i)]), "reason": why} for i, why in skipped],
                notes=(*notes, limit),
                store=store,
                dimension=len(source.reduction.projection),
            )


def extraction_at(sizes):
    """`ExtractionSettings` at `describing.sizes`; `UserError` if they are no plain factors."""
    for size in sizes:
        if not isinstance(size, Factor) or (size.kernel, size.shapes) != (ANTIALIAS, EXACT):
            raise UserError(
                f"local features take factors of the size, as 0.25..2, and no other --resize or "
                f"--shapes: {size}"
            )
    return ExtractionSettings(scales=sizes)


@dataclasses.dataclass(frozen=True, eq=False)
class InlierReranker:
    """Re-ranks by inliers of local features."""

    source: LocalSource
    depth: int = 100  # Ranks of each ranking that are ordered anew.
    extraction: ExtractionSettings = dataclasses.field(default_factory=ExtractionSettings)

    def describe(self):
        """A few words for the table."""
        return f"inliers of local features (first {self.depth})"

    @contextlib.contextmanager
    def of(self, task, settings):
        """Yields the re-ranking of one `Task`, whose features are there within the context.

        It makes `Rankings` into `Rankings` whose first `depth` are ordered by inliers; their scores
        become those.
        """
        sizes = ",".join(map(str, self.extraction.scales))
        notes = (f"Re-ranked by inliers of the local features of {self.source.name} at {sizes}.",)
        notes += self.source.check(task.images)
        with self.source.features(task.images, self.extraction, settings) as store:
            queries = [store[place] for place in task.queries]

            def rerank(rankings):
                rows, inliers = rerank_by_inliers(rankings.rows, queries, store, self.depth)
                scores = np.where(inliers >= 0, inliers, rankings.scores).astype(np.float32)
                return Rankings(rows, scores, (*rankings.notes, *notes))

            yield rerank
