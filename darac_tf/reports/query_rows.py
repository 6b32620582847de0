"""Queries with what was found for them, as pictures and pages show them."""

import os
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class RankedImage:
    """An image that was found."""

    path: str | os.PathLike  # Image file.
    # True for right, False for wrong, None for one that the protocol skips (junk).
    verdict: bool | None
    score: float  # Its similarity to the query.
    turns: int | None = None  # As of `thumbnails.thumbnail`.


@dataclass(frozen=True)
class QueryRow:
    """A query and what was found for it."""

    query_path: str | os.PathLike  # Image file.
    # `xmin, ymin, xmax, ymax` in pixels of the image that was searched for, or None for the whole
    # image.
    box: object = None
    turns: int | None = None  # As of `thumbnails.thumbnail`.
    # Average precision in [0, 1]; None or NaN for a query without a positive.
    ap: float | None = None
    ranks: list[RankedImage] = field(default_factory=list)  # List of `RankedImage`, best first.


def query_rows(task, rankings, ap, queries=None, ranks=20):
    """List of `QueryRow` for `ranking_page.write_ranking_page` and `pictures.draw_rankings`.

    Of a `Task`, the `Rankings` of its queries and their average precisions, `(Q,)`. `queries` are
    the numbers of those to show, None for all, each with the first `ranks`.
    """
    images, rows = task.images, []
    for query in range(len(task.queries)) if queries is None else queries:
        found = rankings.rows[query, :ranks]
        found = found[found >= 0]
        verdicts = task.verdicts(query, found)
        ranked = [
            RankedImage(str(images.paths[row]), verdict, float(score), images.turns_of(row))
            for row, verdict, score in zip(found, verdicts, rankings.scores[query], strict=False)
        ]
        place = task.queries[query]
        path, box, turns = str(images.paths[place]), images.box_of(place), images.turns_of(place)
        rows.append(QueryRow(path, box, turns, float(ap[query]), ranked))
    return rows


def pick_queries(per_query_ap, count):
    """Chooses queries spread evenly from the worst to the best: their numbers, worst first.

    >>> pick_queries([0.9, 0.1, float("nan"), 0.5, 0.7], 3)
    [1, 3, 0]

    Of `(Q,)` average precisions; queries with NaN or None have none and are not chosen, equal ones
    keep their order. `count` is at least 1: one gives the worst; more than there are, all.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1. Received: {count}")
    ap = np.array(per_query_ap, np.float64)
    order = [int(query) for query in np.argsort(ap, kind="stable") if not np.isnan(ap[query])]
    if count >= len(order):
        return order
    # The steps are longer than 1 here, so that no query is chosen twice.
    return [order[i * (len(order) - 1) // max(count - 1, 1)] for i in range(count)]
