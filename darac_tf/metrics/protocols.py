"""All that is known of each protocol of a benchmark, and the scores of rankings by it.

A benchmark is a `data.retrieval_set.RetrievalSet` with a database of N images and Q queries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from darac_tf.errors import UserError
from darac_tf.metrics import gpr1200, holidays
from darac_tf.metrics.oxford import average_precision
from darac_tf.metrics.plain import plain_average_precision
from darac_tf.metrics.revisited import revisited_scores
from darac_tf.metrics.scores import Scores, means_of

JUNK = "junk"


class QueryTruth(NamedTuple):
    """What is right for one query."""

    # For each relevance list of the protocol the int array of its rows.
    lists: dict[str, np.ndarray]
    positives: set[int]  # Set of the database rows that are right.
    junk: set[int]  # Set of those that are skipped.


@dataclass(frozen=True)
class Protocol:
    """How rankings of a benchmark are scored.

    Attributes:
        name: What names of metrics have in brackets.
        words: What reports say.
        lists: The relevance lists of every query. What is in `JUNK` is skipped, all others are
            right.
        own: What the query's own image is, where the database has it: "as listed", "positive"
            whether listed or not, or "skipped", neither right nor a rank.
        score: Function of a ranking and its `QueryTruth` to a dict of scores.
        main: The score that queries are ordered by.
        details: Function of the paths of the queries and their main scores to a dict of more
            `(Q,)` scores that are only averaged.
    """

    name: str
    words: str
    lists: tuple[str, ...]
    own: str
    score: Callable
    main: str = "ap"
    details: Callable = lambda paths, ap: {}


def _trapezoid(ranking, truth):
    return {"ap": average_precision(ranking, truth.positives, truth.junk)}


PROTOCOLS = {
    "oxford": Protocol(
        "Oxford", "AP of the Oxford buildings tool", ("positives", JUNK), "as listed", _trapezoid
    ),
    "revisited": Protocol(
        "revisited",
        "AP of the revisited protocol, junk before the shift",
        ("easy", "hard", JUNK),
        "as listed",
        lambda ranking, truth: revisited_scores(ranking, **truth.lists),
        main="ap (Medium)",
    ),
    "holidays": Protocol(
        holidays.PROTOCOL,
        "AP of INRIA Holidays, query removed",
        ("positives",),
        "skipped",
        _trapezoid,
    ),
    "gpr1200": Protocol(
        "GPR1200",
        "plain AP, query included",
        ("positives",),
        "positive",
        lambda ranking, truth: {"ap": plain_average_precision(ranking, truth.positives)},
        details=gpr1200.domain_scores,
    ),
}


def _protocol_of(retrieval_set):
    protocol = PROTOCOLS.get(retrieval_set.protocol)
    if protocol is None or set(protocol.lists) != set(retrieval_set.relevance):
        raise ValueError(
            f"The set's relevance lists don't fit its protocol. Received: "
            f"{sorted(retrieval_set.relevance)} for {retrieval_set.protocol!r}"
        )
    return protocol


def query_truth(retrieval_set, query):
    """What is right for a query, and what is skipped: `QueryTruth` of query `[0, Q)` of a set.

    ROxford and RParis are looked at in the medium setting. `UserError` if the ground truth of the
    query has a row outside the database, or one row in two of the easy, hard and junk lists,
    `ValueError` if the `RetrievalSet` has no known protocol, or other relevance lists than its own.
    """
    protocol = _protocol_of(retrieval_set)
    lists = {name: np.asarray(retrieval_set.relevance[name][query]) for name in protocol.lists}
    _check_lists(retrieval_set, query, lists)
    sets = {name: set(rows.tolist()) for name, rows in lists.items()}
    junk = sets.pop(JUNK, set())
    positives = set().union(*sets.values())
    own = set() if retrieval_set.own_rows is None else {int(retrieval_set.own_rows[query])} - {-1}
    if protocol.own == "positive":
        positives |= own
    if protocol.own == "skipped":
        positives, junk = positives - own, junk | own
    return QueryTruth(lists, positives, junk)


def verdicts(retrieval_set, query, rows):
    """Whether each of some database images, rows in [0, N), is right for a query in [0, Q).

    For each row True for a positive, False for a negative, and None for what is skipped; set and
    errors as of `query_truth`.
    """
    truth = query_truth(retrieval_set, query)
    rows = [int(row) for row in rows]
    n_database = len(retrieval_set.database)
    if any(not 0 <= row < n_database for row in rows):
        raise ValueError(f"rows must be in [0, {n_database}). Received: {rows}")
    return [None if row in truth.junk else row in truth.positives for row in rows]


def score_set(retrieval_set, rankings):
    """Scores rankings of a benchmark as its official tool does.

    Args:
        retrieval_set: `RetrievalSet`.
        rankings: int `(Q, K)`, database rows in [0, N) from best to worst, each at most once a
            query. A ranking may be truncated, and one that is shorter than the others is filled
            up with -1 at its end. Positives that it lacks count as never found.

    Returns:
        `Scores`. GPR1200 also gets a mean for each domain ("mAP (GPR1200, Landmarks)") where the
        file names tell them.

    Raises:
        UserError: If no query has a positive, or as `query_truth`.
        ValueError: If the rankings don't fit the set.
    """
    protocol, n_database = _protocol_of(retrieval_set), len(retrieval_set.database)
    rankings = _checked_rankings(rankings, len(retrieval_set.queries), retrieval_set.name)
    rows = [
        protocol.score(
            _without_padding(ranking, query, n_database), query_truth(retrieval_set, query)
        )
        for query, ranking in enumerate(rankings)
    ]
    per_query = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    details = protocol.details(retrieval_set.queries.paths, per_query[protocol.main])
    means = means_of(retrieval_set.name, per_query | details, protocol.name)
    return Scores(per_query, means, protocol.main)


def _check_lists(retrieval_set, query, lists):
    """Refuses rows that are outside the database, or in two of the lists of the revisited sets."""
    n_database = len(retrieval_set.database)
    name = PurePath(retrieval_set.queries.paths[query]).name
    where = f"{retrieval_set.name}: the ground truth of query {query} ({name})"
    for key, rows in lists.items():
        outside = rows[(rows < 0) | (rows >= n_database)]
        if outside.size:
            raise UserError(
                f"{where} has row {outside[0]} in its {key} list, outside the {n_database} images "
                "of the database: check that the ground truth and the images belong together"
            )
    if "easy" in lists:
        each = np.concatenate([np.unique(rows) for rows in lists.values()])
        rows, counts = np.unique(each, return_counts=True)
        if (counts > 1).any():
            raise UserError(
                f"{where} has row {rows[counts > 1][0]} in more than one of its easy, hard and "
                "junk lists: use the published ground truth"
            )


def _checked_rankings(rankings, n_queries, name):
    rankings = np.asarray(rankings)
    if n_queries == 0:
        raise UserError(f"{name}: there are no queries to score: check the ground truth")
    if rankings.ndim != 2 or len(rankings) != n_queries or rankings.dtype.kind not in "iu":
        raise ValueError(
            f"rankings must be ({n_queries}, K) integers. "
            f"Received: {rankings.dtype} of shape {rankings.shape}"
        )
    return rankings


def _without_padding(ranking, query, n_database):
    length = int(np.count_nonzero(ranking >= 0))
    kept, padding = ranking[:length], ranking[length:]
    if (kept < 0).any() or (padding != -1).any() or (kept >= n_database).any():
        raise ValueError(
            f"The ranking of query {query} must hold rows in [0, {n_database}), with -1 only at "
            f"its end. Received: {ranking}"
        )
    return kept
