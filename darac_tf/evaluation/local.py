"""Local features of a task's images, and rankings by their inliers."""

import contextlib
import dataclasses
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.images import PIXELS_VERSION
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.local_features import (
    ExtractionSettings,
    FeatureStore,
    LocalExtractor,
    load_delf,
    rerank_by_inliers,
    write_features,
)
from darac_tf.local_features.model import PCA_FILE
from darac_tf.whitening import check_not_test_set, load_whitening


@dataclass
class LocalSource:
    """Local features by a trained attention and PCA.

    Attributes:
        name: As given.
        model: The model of attention and features.
        reduction: The PCA, a `Whitening`.
        allow_on_test: Go on where the PCA was fitted on test images, and say so.
    """

    name: str
    model: object
    reduction: object
    allow_on_test: bool = False

    @contextlib.contextmanager
    def reranking(self, task, settings):
        """Within it, `reranked` works for rankings of `task`."""
        note = self.check(task)
        with self.features(task.images, ExtractionSettings(), settings) as (store, _):
            self._of_task = store, [store[place] for place in task.queries], note
            yield
        del self._of_task

    def reranked(self, rankings, depth):
        """`Rankings` whose first `depth` are ordered by inliers; their scores become those."""
        store, queries, note = self._of_task
        rows, inliers = rerank_by_inliers(rankings.rows, queries, store, depth)
        scores = np.where(inliers >= 0, inliers, rankings.scores).astype(np.float32)
        notes = (*rankings.notes, f"Re-ranked by inliers of the local features of {self.name}.")
        return dataclasses.replace(
            rankings, rows=rows, scores=scores, notes=(*notes, *([note] if note else []))
        )

    def check(self, task):
        """Refuses test images that the PCA was fitted on, see `check_not_test_set`."""
        return check_not_test_set(self.reduction, task.images.paths, self.allow_on_test)

    @contextlib.contextmanager
    def features(self, images, extraction, settings):
        """Yields `(FeatureStore of the images, skipped)`; kept where there is a cache folder.

        Args:
            images: `ImageList`.
            extraction: `ExtractionSettings`.
            settings: `evaluator.Settings`.
        """
        with contextlib.ExitStack() as stack:
            root = settings.cache_dir or stack.enter_context(tempfile.TemporaryDirectory())
            folder = Path(root) / f"local-{self._key(images, extraction)}"
            if (folder / "facts.json").exists():
                store = FeatureStore(folder)
            else:
                extractor = LocalExtractor(
                    self.model, images, self.reduction, extraction, skip_bad=settings.skip_bad
                )
                # Images that can't be read are known when all features are written.
                store = write_features(
                    folder, extractor, extractor.dim, {"skipped": extractor.skipped}
                )
            yield store, [(int(i), why) for i, why in store.facts["skipped"].items()]

    def _key(self, images, extraction):
        """Of all that the features depend on."""
        digest = hashlib.sha256(model_fingerprint(self.model).encode())
        digest.update(np.ascontiguousarray(self.reduction.projection).tobytes())
        digest.update(np.ascontiguousarray(self.reduction.mean).tobytes())
        digest.update(repr((extraction, PIXELS_VERSION)).encode())
        readable = [path for path in images.paths if Path(path).is_file()]
        digest.update(keys_of_images(readable).tobytes())
        for values in (images.boxes, images.turns):
            digest.update(b"-" if values is None else np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:16]


def load_local(path, allow_on_test=False):
    """Reads a run of `train.py --matching=local`.

    Raises:
        UserError: If its model or its PCA is missing or damaged.
    """
    model = load_delf(path)
    return LocalSource(str(path), model, load_whitening(Path(path) / PCA_FILE), allow_on_test)
