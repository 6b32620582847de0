"""Retrieval scores of rankings: plain average precision, precision and recall at k.

A ranking lists database items from the most to the least similar. Where scores are equal, the
order is the database's (`darac_tf.ranking.exact_search` ranks so). A query without any positive has
no score: each function gives NaN for it, and the means leave it out.
"""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.metrics.scores import distinct_items, hit_ranks, precision_sum

# Entries of the (queries, ranks) relevance matrix that are worked on at once: about 100 MB.
_BLOCK_ENTRIES = 1 << 22


def plain_average_precision(ranking, positives):
    """Mean of the precision at each hit, over all positives.

    `AP = 1/|P| * sum_{i: r_i in P} |P ∩ {r_1..r_i}| / i`. The trapezoid AP of the Oxford buildings
    tool is another measure and gives lower values: the two must not be compared.

    Ranking `b a d c` with the positives a and c has hits at ranks 2 and 4, so
    `AP = (1/2 + 2/4) / 2`:

    >>> plain_average_precision(["b", "a", "d", "c"], {"a", "c"})
    0.5

    Args:
        ranking: Sequence of database items (integers or names), best first, each at most once. It
            may be truncated: positives that it lacks count as never found.
        positives: Collection of the right items; repetitions count once.

    Returns:
        Float in [0, 1], or NaN without positives.

    Raises:
        ValueError: If the ranking lists an item twice, or names are compared with numbers.
    """
    ranks, n_positives = hit_ranks(distinct_items(ranking), positives)
    return precision_sum(ranks) / n_positives if n_positives else float("nan")


def precision_at_k(ranking, positives, k):
    """Share of the first k ranks that are hits.

    `P@k = |P ∩ {r_1..r_k}| / k`. The divisor stays k where the ranking or the set of positives
    is smaller, so a query with fewer than k positives can't reach 1.

    >>> round(precision_at_k(["b", "a", "d", "c"], {"a", "c"}, k=3), 4)
    0.3333

    Args, result and errors are those of `plain_average_precision`, and k is at least 1.
    """
    ranks, n_positives = _first_hits(ranking, positives, k)
    return ranks.size / k if n_positives else float("nan")


def recall_at_k(ranking, positives, k):
    """Whether any of the first k ranks is a hit: recall as metric learning uses the word.

    `R@k = 1 if P ∩ {r_1..r_k} else 0`. This is not the share of the positives that were found;
    its mean is the share of the queries with a right answer among the first k.

    >>> [recall_at_k(["b", "a", "d", "c"], {"a", "c"}, k) for k in (1, 2)]
    [0.0, 1.0]

    Args and errors are those of `precision_at_k`. Returns 0.0 or 1.0, or NaN without positives.
    """
    ranks, n_positives = _first_hits(ranking, positives, k)
    return float(ranks.size > 0) if n_positives else float("nan")


def _first_hits(ranking, positives, k):
    """Ranks of the hits among the first k, from 0, and the number of positives."""
    _check_cutoff(k)
    ranks, n_positives = hit_ranks(distinct_items(ranking), positives)
    return ranks[ranks < k], n_positives


def retrieval_scores(rankings, query_labels, database_labels, own_index=None, cutoffs=(1, 5, 10)):
    """Scores of every query of a labelled set; the positives are the images of the same label.

    Two queries, images 2 and 3 themselves, which are taken out of their rankings:

    >>> scores = retrieval_scores([[0, 1, 2, 3], [3, 0, 1, 2]], [0, 1], [0, 1, 0, 1], [2, 3])
    >>> scores["ap"].tolist()
    [1.0, 0.5]

    Args:
        rankings: `(Q, K)` integers, database rows from best to worst, each at most once a query.
            With K < N the ranking is truncated: positives beyond it count as never found. One that
            is shorter than the others is filled up with -1 at its end.
        query_labels: `(Q,)` labels.
        database_labels: `(N,)` labels.
        own_index: `(Q,)` database row of each query (leave-one-out: it is neither a rank nor a
            positive, whether the ranking has it or not), or None where no query is in the
            database.
        cutoffs: The k of precision and recall at k.

    Returns:
        Dict of `(Q,)` float64 arrays: "ap", and "p@k" and "r@k" for each cutoff. A query without
        positives is NaN in all of them.

    Raises:
        ValueError: If shapes don't fit together, a row is not in [0, N) or is listed twice.
    """
    query_labels, database_labels = np.asarray(query_labels), np.asarray(database_labels)
    rankings = _checked_rankings(rankings, len(query_labels), len(database_labels))
    for k in cutoffs:
        _check_cutoff(k)
    if own_index is not None:
        own_index = np.asarray(own_index)
        if own_index.shape != query_labels.shape:
            raise ValueError(f"own_index needs one row a query. Received: {own_index.shape}")
        _check_range("own_index", own_index, len(database_labels))
    rows = max(1, _BLOCK_ENTRIES // max(1, rankings.shape[1]))
    blocks = []
    for start in range(0, len(rankings), rows):
        block = slice(start, start + rows)
        own = None if own_index is None else own_index[block]
        blocks.append(
            _block_scores(rankings[block], query_labels[block], database_labels, own, cutoffs)
        )
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def mean_scores(scores):
    """Means over the queries that have a positive, under the names a report shows.

    >>> mean_scores({"ap": np.array([1.0, np.nan, 0.5]), "p@1": np.array([1.0, np.nan, 0.0])})
    {'mAP (plain)': 0.75, 'P@1': 0.5}

    Args:
        scores: Dict of `(Q,)` arrays from `retrieval_scores`.

    Raises:
        UserError: If no query has a positive.
    """
    has_positive = ~np.isnan(scores["ap"])
    if not has_positive.any():
        raise UserError(
            f"none of the {has_positive.size} queries has a positive in the database: "
            "check the labels, each needs two images or more"
        )
    return {
        "mAP (plain)" if name == "ap" else name.upper(): float(values[has_positive].mean())
        for name, values in scores.items()
    }


def _block_scores(rankings, query_labels, database_labels, own_index, cutoffs):
    relevant = (rankings >= 0) & (database_labels[rankings] == query_labels[:, None])
    n_positives = (database_labels == query_labels[:, None]).sum(axis=1)
    if own_index is None:
        ranks = np.arange(1, rankings.shape[1] + 1)[None]
    else:
        is_other = rankings != own_index[:, None]
        relevant &= is_other
        ranks = np.maximum(np.cumsum(is_other, axis=1), 1)
        n_positives -= database_labels[own_index] == query_labels
    # 0 / 0 for a query without positives would warn; NaN is what is meant.
    divisor = np.where(n_positives > 0, n_positives, np.nan)
    precision = np.cumsum(relevant, axis=1) / ranks
    scores = {"ap": np.where(relevant, precision, 0.0).sum(axis=1) / divisor}
    first_hits = {k: (relevant & (ranks <= k)).sum(axis=1) for k in cutoffs}
    has_positive = np.where(n_positives > 0, 1.0, np.nan)
    scores |= {f"p@{k}": hits / k * has_positive for k, hits in first_hits.items()}
    return scores | {f"r@{k}": (hits > 0) * has_positive for k, hits in first_hits.items()}


def _check_cutoff(k):
    if k < 1:
        raise ValueError(f"k must be at least 1. Received: {k}")


def _checked_rankings(rankings, n_queries, n_database):
    rankings = np.asarray(rankings)
    if rankings.ndim != 2 or len(rankings) != n_queries or n_queries == 0:
        raise ValueError(f"rankings must be ({n_queries}, K). Received: {rankings.shape}")
    is_padding = rankings == -1
    _check_range("rankings", rankings[~is_padding], n_database)
    if (is_padding[:, :-1] & ~is_padding[:, 1:]).any():
        raise ValueError("-1 may stand at the end of a ranking only. Received: one before a row")
    ordered = np.sort(rankings, axis=1)
    repeats = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if repeats.any():
        query = int(np.argmax(repeats))
        raise ValueError(
            f"The ranking of query {query} lists a row twice. Received: {rankings[query]}"
        )
    return rankings


def _check_range(name, rows, n_database):
    if rows.size and (rows.min() < 0 or rows.max() >= n_database):
        raise ValueError(
            f"{name} must hold rows in [0, {n_database}). Received: {rows.min()}..{rows.max()}"
        )
