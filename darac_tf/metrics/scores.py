"""What all metrics share: where a ranking has its positives, and means over the queries."""

from dataclasses import dataclass

import numpy as np

from darac_tf.errors import UserError


@dataclass(frozen=True)
class Scores:
    """What a set of rankings scores.

    Attributes:
        per_query: For each score a float64 array `(Q,)` in [0, 1]: "ap", or "ap (Easy)",
            "p@10 (Hard)" and so on where the protocol has settings. A query without positives is
            NaN.
        means: For each metric, named with its protocol ("mAP (Oxford)"), the mean over the queries
            that have a positive, in [0, 1].
        main: Key in `per_query` of the score that queries are ordered by.
    """

    per_query: dict[str, np.ndarray]
    means: dict[str, float]
    main: str = "ap"

    @property
    def ap(self):
        """float64 `(Q,)`, the average precision that queries are ordered by."""
        return self.per_query[self.main]


def _metric_name(protocol, key):
    """What a report calls the mean of a score: it names the protocol, for numbers to be comparable.

    >>> _metric_name("Oxford", "ap"), _metric_name("revisited", "p@10 (Hard)")
    ('mAP (Oxford)', 'mP@10 (revisited, Hard)')
    """
    score, _, setting = key.partition(" ")
    return f"m{score.upper()} ({', '.join(filter(None, [protocol, setting.strip('()')]))})"


def means_of(source, per_query, protocol):
    """`Scores.means` of `Scores.per_query` by a protocol.

    A score that no query has (a setting without any positive) is left out. That none has any is a
    `UserError`, which names the `source` of the scores.
    """
    means = {}
    for key, values in per_query.items():
        scored = ~np.isnan(values)
        if scored.any():
            means[_metric_name(protocol, key)] = float(values[scored].mean())
    if not means:
        n_queries = len(next(iter(per_query.values())))
        raise UserError(
            f"{source}: none of the {n_queries} queries has a positive in the database: "
            "check the ground truth"
        )
    return means


def distinct_items(ranking):
    """A ranking as an array `(ranks,)` of integers or strings, in which no item is twice.

    The official tools don't check. The Oxford tool counts a positive that is listed twice as two,
    so that recall passes 1; a ranking like that is a mistake, whatever it would score. `ValueError`
    if an item is listed twice or is neither an integer nor a name.
    """
    items = _as_items("ranking", ranking)
    # Sorting strings takes far longer than hashing them; with integers it is the other way round.
    distinct = set(items.tolist()) if items.dtype.kind == "U" else np.unique(items)
    if len(distinct) != items.size:
        values, counts = np.unique(items, return_counts=True)
        raise ValueError(
            f"The ranking lists an item twice. Received: {values[np.argmax(counts)]!s} "
            f"{counts.max()} times among {items.size} ranks"
        )
    return items


def hit_ranks(items, positives, junk=()):
    """Ranks of the positives in a list from which the junk was taken out.

    The junk `x` of `b x a` takes no rank, so that `a` has rank 1, counted from 0:

    >>> ranks, n_positives = hit_ranks(distinct_items(["b", "x", "a"]), {"a", "c"}, {"x"})
    >>> ranks.tolist(), n_positives
    ([1], 2)

    Args:
        items: `(ranks,)` array from `distinct_items`.
        positives: Collection of the right items; repetitions count once.
        junk: Collection of the items that are neither right nor wrong. What is in both
            collections is skipped, but stays one of the positives that there are.

    Returns:
        int64 `(hits,)`, ranks from 0 in growing order; and the number of different positives.

    Raises:
        ValueError: If names are compared with numbers.
    """
    positives = _comparable("positives", positives, items)
    junk = _comparable("junk", junk, items)
    hits = _is_member(items, positives)
    if junk.size:
        hits = hits[~_is_member(items, junk)]
    return np.flatnonzero(hits), np.unique(positives).size


def precision_sum(ranks):
    """Sum of the precision at each hit: `sum_j j / (r_j + 1)` for the j-th hit at rank r_j."""
    return float(np.sum(np.arange(1, ranks.size + 1) / (ranks + 1)))


def _is_member(items, wanted):
    if items.dtype.kind == "U":
        wanted = set(wanted.tolist())  # np.isin would sort.
        return np.array([item in wanted for item in items.tolist()], bool)
    return np.isin(items, wanted)


def _as_items(name, values):
    items = np.asarray(values if isinstance(values, np.ndarray) else list(values))
    if items.size == 0:
        return np.zeros(0, np.int64)
    if items.ndim != 1 or items.dtype.kind not in "iuU":
        raise ValueError(
            f"{name} must be a flat list of integers or names. "
            f"Received: {items.dtype} of shape {items.shape}"
        )
    return items


def _comparable(name, values, items):
    values = _as_items(name, values)
    # NumPy would compare the number 1 with the name "1" by turning it into a name.
    if values.size and items.size and (values.dtype.kind == "U") != (items.dtype.kind == "U"):
        raise ValueError(
            f"{name} and the ranking must both hold integers or both names. "
            f"Received: {values.dtype} and {items.dtype}"
        )
    return values
