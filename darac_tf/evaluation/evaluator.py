"""Measures descriptors on a task, at every resolution, with whitening or not."""

import contextlib
from dataclasses import dataclass, field

import numpy as np

from darac_tf.describing.extraction import DEFAULT_BATCH_PIXELS, extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sizes import LongSide
from darac_tf.evaluation.local import LocalSource
from darac_tf.evaluation.task import Task
from darac_tf.evaluation.whitening_source import WhiteningSource
from darac_tf.ranking.rank import Rankings, RankingSettings, rank
from darac_tf.reports.report import Result
from darac_tf.whitening import Whitening

_SCALED = (
    "JPEG images were decoded at a part of their size where all sizes need less than half of it"
)


@dataclass(frozen=True)
class Settings:
    """How descriptors are measured, the same for all of them.

    Attributes:
        resolutions: Each a tuple of `sizes.LongSide` and `sizes.Factor` that are combined.
        combination: One of `combine.COMBINATIONS`.
        exponent: Of the generalised mean; None for its default.
        whitening: `WhiteningSource`, or None for rows without whitening only.
        ranking: `RankingSettings`.
        batch_pixels: Most pixels in a batch.
        cache_dir: Folder of kept descriptors (`FeatureCache`), or None for none.
        skip_bad: Rank images that can't be read last instead of refusing them.
        scaled_decoding: See `extraction.extract_features`.
        local: `local.LocalSource` that re-ranks, where `ranking.rerank` is `"local"`.
    """

    resolutions: tuple = ((LongSide(299),),)
    combination: str = "sum"
    exponent: float | None = None
    whitening: WhiteningSource | None = None
    ranking: RankingSettings = field(default_factory=RankingSettings)
    batch_pixels: int = DEFAULT_BATCH_PIXELS
    cache_dir: str | None = None
    skip_bad: bool = False
    scaled_decoding: bool = False
    local: LocalSource | None = None


@dataclass(frozen=True)
class Measured:
    """One row of the table, and what it was made from.

    Attributes:
        result: The row.
        task: What was measured on.
        rankings: `Rankings` of the queries.
        ap: float `(Q,)`, what queries are ordered by in pictures: AP, of the medium setting where
            the protocol has several.
        whitening: The whitening in use, or None.
    """

    result: Result
    task: Task = field(repr=False)
    rankings: Rankings = field(repr=False)
    ap: np.ndarray = field(repr=False)
    whitening: Whitening | None = field(repr=False, default=None)


def evaluate(sources, task, settings):
    """Yields a `Measured` for each descriptor, resolution setting and whitening.

    Each image is decoded once, and described once at each resolution, however many settings use it.

    Args:
        sources: List of `sources.Source`.
        task: `Task`.
        settings: `Settings`.

    Raises:
        UserError: If an image can't be read, no query has a positive, or the whitening can't be
            fitted or is of images of the task.
    """
    note = settings.whitening.check(task) if settings.whitening else None
    with contextlib.ExitStack() as stack:
        if settings.ranking.rerank == "local":
            stack.enter_context(settings.local.reranking(task, settings))
        yield from _evaluate(sources, task, settings, note)


def _evaluate(sources, task, settings, note):
    notes = (_SCALED,) if settings.scaled_decoding else ()
    of_whitened = (*notes, note) if note else notes
    for source in sources:
        tested = _described(source, task.images, settings)
        fitted = None
        if settings.whitening and settings.whitening.images is not None:
            fitted = _described(source, settings.whitening.images, settings)
        for name in source.names:
            for sizes in settings.resolutions:
                vectors = _vectors(tested, name, sizes, settings)
                yield _measure(name, sizes, vectors, None, tested, task, settings, notes)
                if settings.whitening:
                    whitening = _whitening(name, sizes, fitted, settings)
                    whitened = vectors.whitened(whitening)
                    yield _measure(
                        name, sizes, whitened, whitening, tested, task, settings, of_whitened
                    )


def _described(source, images, settings):
    """`Features` of a list of images by one source, at all sizes."""
    cache = None
    if settings.cache_dir:
        cache = FeatureCache(settings.cache_dir, source.fingerprints())
    return extract_features(
        source.describe,
        images,
        [size for setting in settings.resolutions for size in setting],
        cache,
        batch_pixels=settings.batch_pixels,
        skip_bad=settings.skip_bad,
        scaled_decoding=settings.scaled_decoding,
    )


def _vectors(features, name, sizes, settings):
    return features.vectors(name, sizes, settings.combination, settings.exponent)


def _whitening(name, sizes, fitted, settings):
    if fitted is None:
        return settings.whitening.loaded
    rows = np.flatnonzero(fitted.usable)
    vectors = _vectors(fitted, name, sizes, settings)
    return settings.whitening.fit(vectors, rows, name, sizes)


def _measure(name, sizes, vectors, whitening, features, task, settings, notes):
    rankings = rank(vectors, task, settings.ranking, features.usable)
    if settings.ranking.rerank == "local":
        rankings = settings.local.reranked(rankings, settings.ranking.rerank_depth)
    skipped = [{"path": path, "reason": why} for _, path, why in features.skipped]
    return measured_row(
        name, vectors.shape[1], sizes, rankings, whitening, task, settings, notes, skipped
    )


def measured_row(name, dimension, sizes, rankings, whitening, task, settings, notes, skipped):
    """Scores rankings, as a row of the table.

    Args:
        name: The descriptor.
        dimension: Of what was compared.
        sizes: The resolution setting.
        rankings: `Rankings`.
        whitening: The whitening in use, or None.
        task: `Task`.
        settings: `Settings`.
        notes: Sentences for the report, besides those of the task and the rankings.
        skipped: See `Result.skipped`.

    Returns:
        `Measured`.
    """
    scores = task.score(rankings.rows)
    result = Result(
        descriptor=name,
        dimension=dimension,
        resolutions=tuple(map(str, sizes)),
        whitening=settings.whitening.describe() if whitening else None,
        dataset=task.name,
        scores=scores.means,
        per_query=_per_query(task, scores.per_query),
        protocol=task.protocol,
        database_size=task.n_database - (task.exclude is not None),
        notes=(*task.notes, *notes, *rankings.notes),
        skipped=skipped,
        post_processing=settings.ranking.describe(),
        combination=_combination(settings, sizes),
    )
    key = next(key for key in ("ap", "ap (Medium)") if key in scores.per_query)
    return Measured(result, task, rankings, scores.per_query[key], whitening)


def _per_query(task, scores):
    kept = {key: values for key, values in scores.items() if key.startswith("ap")}
    return [
        {"path": str(task.images.paths[place]), **{k: float(v[query]) for k, v in kept.items()}}
        for query, place in enumerate(task.queries)
    ]


def _combination(settings, sizes):
    if settings.combination == "sum" or len(sizes) == 1:
        return None  # The rule, or nothing to combine.
    exponent = "" if settings.exponent is None else f", p = {settings.exponent:g}"
    return f"{settings.combination}{exponent}"
