"""What a descriptor is measured on: images to describe, who is searched for among whom, the scores.

Labelled collections and benchmarks become the same `Task`, so that description, search and reports
know no protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from darac_tf.data.views import ImageList
from darac_tf.metrics import (
    PROTOCOLS,
    Scores,
    mean_scores,
    query_truth,
    retrieval_scores,
    score_set,
    verdicts,
)

NO_LABEL = -1  # of distractors: no query has it


@dataclass(frozen=True)
class Task:
    """A retrieval task over one list of images."""

    name: str  # What reports call the data set.
    protocol: str  # How rankings are scored, in words.
    images: ImageList  # `ImageList` of everything that is described; the database comes first.
    n_database: int  # N, images in the database.
    queries: np.ndarray  # int64 `(Q,)`, places of the queries in `images`.
    # int64 `(Q,)`, the database row that is left out for each query, or None.
    exclude: np.ndarray | None
    # Function of rankings `(Q, K)`, database rows with -1 as padding at the end, to `Scores`.
    score: Callable
    # Function of a query's number and database rows to a list of True (right), False (wrong) and
    # None (skipped by the protocol).
    verdicts: Callable
    n_positives: Callable  # Function of a query's number to how many positives it has.
    notes: tuple[str, ...] = ()  # Sentences for the report.
    labels: np.ndarray | None = None  # int64 `(images,)`, None of a benchmark.


def labelled_task(images, query_split=None, distractors=()):
    """The task of a labelled collection: images of the query's class are its positives.

    Of `LabelledImages`, those of `query_split` are the queries and the rest is the database; None
    is leave-one-out. `distractors` are paths of more images for the database, right for no query.
    Scored with plain AP, P@k and R@k (`metrics.plain`). `UserError` if no image has the split.
    """
    if query_split:
        images.split(query_split)  # Complains when there is none.
        is_query = images.splits == query_split
        own, database = np.flatnonzero(is_query), np.flatnonzero(~is_query)
        kind = f"queries of split {query_split}, plain AP"
    else:
        own = database = np.arange(len(images))
        kind = "leave-one-out, plain AP"
    paths = np.concatenate([images.paths[database], np.array(distractors, str)])
    labels = np.full(len(paths), NO_LABEL)
    labels[: len(database)] = images.labels[database]
    queries, exclude = np.arange(len(own)), own
    if query_split:
        queries, exclude = len(paths) + queries, None
        paths = np.concatenate([paths, images.paths[own]])
    query_labels = images.labels[own]

    def score(rankings):
        found = retrieval_scores(rankings, query_labels, labels, exclude)
        return Scores(found, mean_scores(found))

    def verdicts_of(query, rows):
        return (labels[rows] == query_labels[query]).tolist()

    counts = np.bincount(images.labels[database], minlength=len(images.class_names))
    return Task(
        name=images.name,
        protocol=kind,
        images=replace(images.image_list(), paths=paths),
        n_database=len(labels),
        queries=queries,
        exclude=exclude,
        score=score,
        verdicts=verdicts_of,
        n_positives=lambda query: int(counts[query_labels[query]]) - (exclude is not None),
        notes=_distractor_note(distractors),
        labels=labels if exclude is not None else np.append(labels, query_labels),
    )


def benchmark_task(benchmark, distractors=(), upright=False):
    """The task of a `RetrievalSet`, scored by its own protocol (`metrics.protocols`).

    `distractors` are paths of more images for the database, right for no query, to be turned
    `upright` or not. A query that is looked at as a whole and is in the database is described once.
    """
    more = ImageList(np.array(distractors, str), upright=upright)
    # Rows of the ground truth stay what they are: distractors come after them.
    benchmark = replace(benchmark, database=_joined(benchmark.database, more))
    n_database = len(benchmark.database)
    is_shared = _is_database_image(benchmark)
    # Those that are described besides come after the database.
    queries = n_database + np.cumsum(~is_shared) - 1
    if is_shared.any():
        queries[is_shared] = benchmark.own_rows[is_shared]
    return Task(
        name=benchmark.name,
        protocol=PROTOCOLS[benchmark.protocol].words,
        images=_joined(benchmark.database, benchmark.queries.select(~is_shared)),
        n_database=n_database,
        queries=queries,
        exclude=None,
        score=lambda rankings: score_set(benchmark, rankings),
        verdicts=lambda query, rows: verdicts(benchmark, query, rows),
        n_positives=lambda query: len(query_truth(benchmark, query).positives),
        notes=(*benchmark.notes, *_distractor_note(distractors)),
    )


def _is_database_image(benchmark):
    """bool `(Q,)`: whether a query is looked at exactly as its image in the database is."""
    queries, rows = benchmark.queries, benchmark.own_rows
    if rows is None:
        return np.zeros(len(queries), bool)
    is_same = [
        row >= 0
        and queries.box_of(query) is None
        and queries.turns_of(query) == benchmark.database.turns_of(row)
        for query, row in enumerate(rows)
    ]
    return np.array(is_same, bool)


def _joined(first, second):
    """One `ImageList` of two."""
    lists = (first, second)
    boxes = turns = None
    if any(images.boxes is not None for images in lists):
        boxes = [np.full((len(x), 4), np.nan) if x.boxes is None else x.boxes for x in lists]
        boxes = np.concatenate(boxes)
    if any(images.turns is not None for images in lists):
        turns = [np.zeros(len(x), np.int64) if x.turns is None else x.turns for x in lists]
        turns = np.concatenate(turns)
    upright = np.concatenate([images.are_upright() for images in lists])
    paths = np.concatenate([images.paths for images in lists])
    return ImageList(paths, boxes, turns, upright, first.max_pixels)


def _distractor_note(distractors):
    note = f"{len(distractors)} distractors were added to the database."
    return (note,) if len(distractors) else ()
