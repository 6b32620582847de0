"""Scores of the rankings of a benchmark, by the benchmark's own protocol."""

from pathlib import PurePath

import numpy as np

from darac_tf.data.retrieval_set import RELEVANCE
from darac_tf.errors import UserError
from darac_tf.metrics import gpr1200, holidays, revisited
from darac_tf.metrics.scores import Scores, means_of
from darac_tf.metrics.trapezoid import average_precision

_METRICS = {
    "oxford": "mAP (Oxford)",
    "holidays": holidays.METRIC,
    "gpr1200": gpr1200.METRIC,
}


def score_set(retrieval_set, rankings):
    """Scores rankings of a benchmark as its official tool does.

    | protocol | score | the query's own image |
    | --- | --- | --- |
    | `oxford` | `average_precision` | stays; a positive where the ground truth says so |
    | `revisited` | `revisited_scores` | not in the database |
    | `holidays` | `holidays_average_precision` | taken out of its ranking |
    | `gpr1200` | `gpr1200_average_precision` | stays and is a positive |

    Args:
        retrieval_set: `RetrievalSet` with a database of N images and Q queries.
        rankings: int `(Q, K)`, database rows in [0, N) from best to worst, each at most once a
            query. A ranking may be truncated, and one that is shorter than the others is filled
            up with -1 at its end. Positives that it lacks count as never found.

    Returns:
        `Scores`. GPR1200 also gets a mean for each domain ("mAP (GPR1200, Landmarks)") where the
        file names tell them.

    Raises:
        UserError: If no query has a positive, or the ground truth has a row outside the database
            or one row in two of the easy, hard and junk lists.
        ValueError: If the rankings don't fit the set.
    """
    _check_protocol(retrieval_set)
    rankings = _checked_rankings(rankings, len(retrieval_set.queries), retrieval_set.name)
    n_database = len(retrieval_set.database)
    rows = []
    for query, ranking in enumerate(rankings):
        _check_ground_truth(retrieval_set, query)
        ranking = _without_padding(ranking, query, n_database)
        rows.append(_query_scores(retrieval_set, query, ranking))
    per_query = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    if retrieval_set.protocol == "revisited":
        name_of = revisited.revisited_metric_name
    else:
        name_of = {"ap": _METRICS[retrieval_set.protocol]}.__getitem__
    means = means_of(retrieval_set.name, per_query, name_of)
    if retrieval_set.protocol == "gpr1200":
        means |= _domain_means(retrieval_set, per_query["ap"])
    return Scores(per_query, means)


def verdicts(retrieval_set, query, rows):
    """Whether each of some database images is right for a query.

    Args:
        retrieval_set: `RetrievalSet`.
        query: Number of the query, in [0, Q).
        rows: Database rows in [0, N).

    Returns:
        For each row True for a positive, False for a negative, and None for what the protocol
        skips: junk, and the query's own image in Holidays. ROxford and RParis are looked at in
        the medium setting.

    Raises:
        UserError: If the ground truth of the query has a row outside the database, or one row in
            two of the easy, hard and junk lists.
        ValueError: If a row is outside the database.
    """
    _check_protocol(retrieval_set)
    _check_ground_truth(retrieval_set, query)
    rows = [int(row) for row in rows]
    n_database = len(retrieval_set.database)
    if any(not 0 <= row < n_database for row in rows):
        raise ValueError(f"rows must be in [0, {n_database}). Received: {rows}")
    positives, junk = _positives_and_junk(retrieval_set, query)
    return [None if row in junk else row in positives for row in rows]


def _query_scores(retrieval_set, query, ranking):
    """Dict of the scores of one query."""
    if retrieval_set.protocol == "revisited":
        lists = {name: arrays[query] for name, arrays in retrieval_set.relevance.items()}
        return revisited.revisited_scores(ranking, **lists)
    positives, junk = _positives_and_junk(retrieval_set, query)
    if retrieval_set.protocol == "gpr1200":
        return {"ap": gpr1200.gpr1200_average_precision(ranking, positives)}
    return {"ap": average_precision(ranking, positives, junk)}


def _positives_and_junk(retrieval_set, query):
    """Two sets of database rows: what is right for a query, and what is skipped."""
    sets = {
        name: set(np.asarray(arrays[query]).tolist())
        for name, arrays in retrieval_set.relevance.items()
    }
    if retrieval_set.protocol == "revisited":
        return sets["easy"] | sets["hard"], sets["junk"]
    own = set() if retrieval_set.own_rows is None else {int(retrieval_set.own_rows[query])} - {-1}
    if retrieval_set.protocol == "holidays":
        return sets["positives"] - own, own
    if retrieval_set.protocol == "gpr1200":
        return sets["positives"] | own, set()
    return sets["positives"], sets["junk"]


def _domain_means(retrieval_set, values):
    domains = gpr1200.gpr1200_domains(retrieval_set.queries.paths)
    if domains is None:
        return {}
    per_query = {}
    for domain in gpr1200.DOMAINS:
        inside = np.array(domains) == domain
        if inside.any():
            per_query[domain] = np.where(inside, values, np.nan)
    return means_of(retrieval_set.name, per_query, lambda domain: f"mAP (GPR1200, {domain})")


def _check_protocol(retrieval_set):
    expected = RELEVANCE.get(retrieval_set.protocol)
    if expected is None or set(expected) != set(retrieval_set.relevance):
        raise ValueError(
            f"The set's relevance lists don't fit its protocol. Received: "
            f"{sorted(retrieval_set.relevance)} for {retrieval_set.protocol!r}"
        )


def _check_ground_truth(retrieval_set, query):
    n_database = len(retrieval_set.database)
    name = PurePath(str(retrieval_set.queries.paths[query])).name
    where = f"{retrieval_set.name}: the ground truth of query {query} ({name})"
    lists = {key: np.asarray(rows[query]) for key, rows in retrieval_set.relevance.items()}
    for key, rows in lists.items():
        outside = rows[(rows < 0) | (rows >= n_database)]
        if outside.size:
            raise UserError(
                f"{where} has row {outside[0]} in its {key} list, outside the {n_database} images "
                "of the database: check that the ground truth and the images belong together"
            )
    if retrieval_set.protocol == "revisited":
        every = np.concatenate([np.unique(rows) for rows in lists.values()])
        rows, counts = np.unique(every, return_counts=True)
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
