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


def metric_name(protocol, key):
    """What a report calls the mean of a score: it names the protocol, for numbers to be comparable.

    >>> metric_name("Oxford", "ap"), metric_name("revisited", "p@10 (Hard)")
    ('mAP (Oxford)', 'mP@10 (revisited, Hard)')

    Args:
        protocol: Name of the protocol.
        key: Of `Scores.per_query`.
    """
    score, _, setting = key.partition(" ")
    return f"m{score.upper()} ({', '.join(filter(None, [protocol, setting.strip('()')]))})"


def means_of(source, per_query, protocol):
    """Means over the queries that have a positive.

    >>> means_of("the set", {"ap": np.array([1.0, np.nan, 0.5])}, "Oxford")
    {'mAP (Oxford)': 0.75}

    Args:
        source: What the scores are of, for the error.
        per_query: Dict of `(Q,)` arrays, NaN for a query without positives.
        protocol: Its name, for `metric_name`.

    Returns:
        Dict of floats by `metric_name`. A score that no query has (a setting without any positive)
        is left out.

    Raises:
        UserError: If no query has any score.
    """
    means = {}
    for key, values in per_query.items():
        scored = ~np.isnan(values)
        if scored.any():
            means[metric_name(protocol, key)] = float(values[scored].mean())
    if not means:
        n_queries = len(next(iter(per_query.values())))
        raise UserError(
            f"{source}: none of the {n_queries} queries has a positive in the database: "
            "check the ground truth"
        )
    return means


def distinct_items(ranking):
    """A ranking as an array, after a check that no item is in it twice.

    The official tools don't check. The Oxford tool counts a positive that is listed twice as two,
    so that recall passes 1; a ranking like that is a mistake, whatever it would score.

    >>> distinct_items(["b", "a"]).tolist()
    ['b', 'a']

    Args:
        ranking: Sequence of integers or of names, best first.

    Returns:
        `(ranks,)` array of integers or strings.

    Raises:
        ValueError: If an item is listed twice or is neither an integer nor a name.
    """
    items = _as_items("ranking", ranking)
    if items.dtype.kind == "U":
        n_distinct = len(set(items.tolist()))
    else:
        ordered = np.sort(items)
        n_distinct = items.size - np.count_nonzero(ordered[1:] == ordered[:-1])
    if n_distinct != items.size:
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
    if not junk.size:
        return np.flatnonzero(hits), np.unique(positives).size
    kept = ~_is_member(items, junk)
    return np.flatnonzero(hits[kept]), np.unique(positives).size


def precision_sum(ranks):
    """Sum of the precision at each hit: `sum_j j / (r_j + 1)` for the j-th hit at rank r_j.

    Hits at the ranks 1 and 3, counted from 0, have the precisions 1/2 and 2/4:

    >>> precision_sum(np.array([1, 3]))
    1.0

    Args:
        ranks: int `(hits,)` from `hit_ranks`.

    Returns:
        Float, at most the number of hits.
    """
    return float(np.sum(np.arange(1, ranks.size + 1) / (ranks + 1)))


def _is_member(items, wanted):
    if items.dtype.kind == "U":
        # np.isin would sort the strings, which takes far longer than hashing them.
        found = map(set(wanted.tolist()).__contains__, items.tolist())
        return np.fromiter(found, dtype=bool, count=items.size)
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
