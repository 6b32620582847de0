"""Measures what is described on a task: describe, whiten, rank, re-rank, score."""

import contextlib
import itertools
from dataclasses import dataclass, field

import numpy as np

from darac_tf.choices import DEFAULT_BATCH_PIXELS
from darac_tf.data.content_keys import repetitions
from darac_tf.describing.sizes import LongSide
from darac_tf.evaluation.local import InlierReranker
from darac_tf.evaluation.sources import described
from darac_tf.evaluation.task import Task
from darac_tf.evaluation.whitening_source import WhiteningSource
from darac_tf.ranking.rank import Rankings, RankingSettings
from darac_tf.reports.report import Result
from darac_tf.whitening import Whitening


@dataclass(frozen=True)
class Settings:
    """How everything is measured."""

    # Each a tuple of `sizes.LongSide` and `sizes.Factor` that are combined.
    resolutions: tuple = ((LongSide(299),),)
    combination: str = "sum"  # One of `choices.COMBINATIONS`.
    exponent: float | None = None  # Of the generalised mean; None for its default.
    whitening: WhiteningSource | None = None  # None for rows without whitening only.
    ranking: RankingSettings = field(default_factory=RankingSettings)
    reranker: InlierReranker | None = None  # Of the rankings.
    batch_pixels: int = DEFAULT_BATCH_PIXELS  # Most pixels in a batch.
    cache_dir: str | None = None  # Folder of kept descriptors (`FeatureCache`), or None for none.
    skip_bad: bool = False  # Rank images that can't be read last instead of refusing them.
    scaled_decoding: bool = False  # See `extraction.extract_features`.

    def post_processing(self):
        """What becomes of the plain search, in words, or None."""
        steps = (self.ranking, self.reranker)
        return ", ".join(filter(None, (step.describe() for step in steps if step))) or None


@dataclass(frozen=True)
class Measured:
    """One row of the table, and what it was made from."""

    result: Result  # The row.
    task: Task = field(repr=False)  # What was measured on.
    rankings: Rankings = field(repr=False)  # Of the queries.
    # float `(Q,)`, what queries are ordered by in pictures: AP, of the medium setting where the
    # protocol has several.
    ap: np.ndarray = field(repr=False)
    whitening: Whitening | None = field(repr=False, default=None)  # The whitening in use, or None.


def evaluate(sources, task, settings):
    """Yields a `Measured` for each descriptor, resolution setting and whitening, by `Settings`.

    `sources` is a list of what `sources.described` knows. `UserError` if an image can't be read, no
    query has a positive, or the whitening can't be fitted or is of images of the task.
    """
    whitening = settings.whitening
    notes = []
    if whitening:
        notes.append(whitening.check(task))
        for source in sources:
            whitening.check_dimensions(source.dimensions)
    with contextlib.ExitStack() as stack:
        rerank = None
        if settings.reranker:
            rerank = stack.enter_context(settings.reranker.of(task, settings))
        for source in sources:
            tested, fitted = described(source, task.images, settings), itertools.repeat(None)
            if whitening and whitening.images is not None:
                fitted = described(source, whitening.images, settings)
            for images, fitting in zip(tested, fitted, strict=False):
                yield _measure(images, task, settings, rerank)
                if whitening:
                    fit = whitening.loaded if fitting is None else whitening.fit(fitting)
                    left_out = [image["reason"] for image in fitting.skipped] if fitting else []
                    said = [f"The whitening is without {reason}" for reason in left_out]
                    whitened = images.whitened(fit)
                    yield _measure(whitened, task, settings, rerank, fit, [*notes, *said])


def _measure(images, task, settings, rerank, whitening=None, notes=()):
    """Ranks what is described and scores the rankings, as a row of the table."""
    rankings = images.rank(task, settings.ranking)
    if rerank:
        rankings = rerank(rankings)
    scores, repeated = task.score(rankings.rows), ()
    if task.labels is not None and images.keys is not None:
        repeated = repetitions(images.keys, task.images.paths, task.labels)
    result = Result(
        descriptor=images.name,
        dimension=images.dimension,
        resolutions=images.sizes,
        whitening=settings.whitening.describe() if whitening else None,
        dataset=task.name,
        scores=scores.means,
        per_query=_per_query(task, scores.per_query),
        protocol=task.protocol,
        database_size=task.n_database - (task.exclude is not None),
        notes=(*task.notes, *images.notes, *filter(None, notes), *rankings.notes, *repeated),
        skipped=images.skipped,
        post_processing=settings.post_processing(),
        combination=images.combination,
    )
    return Measured(result, task, rankings, scores.ap, whitening)


def _per_query(task, scores):
    kept = {key: values for key, values in scores.items() if key.startswith("ap")}
    return [
        {"path": str(task.images.paths[place]), **{k: float(v[query]) for k, v in kept.items()}}
        for query, place in enumerate(task.queries)
    ]
