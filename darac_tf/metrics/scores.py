"""The scores of a benchmark: one value a query, and their means."""

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
    """

    per_query: dict[str, np.ndarray]
    means: dict[str, float]


def means_of(source, per_query, metric_name):
    """Means over the queries that have a positive.

    >>> means_of("the set", {"ap": np.array([1.0, np.nan, 0.5])}, "m{}".format)
    {'map': 0.75}

    Args:
        source: What the scores are of, for the error.
        per_query: Dict of `(Q,)` arrays, NaN for a query without positives.
        metric_name: Function from a key of `per_query` to the name of its mean.

    Returns:
        Dict of floats. A score that no query has (a setting without any positive) is left out.

    Raises:
        UserError: If no query has any score.
    """
    means = {}
    for key, values in per_query.items():
        scored = ~np.isnan(values)
        if scored.any():
            means[metric_name(key)] = float(values[scored].mean())
    if not means:
        n_queries = len(next(iter(per_query.values())))
        raise UserError(
            f"{source}: none of the {n_queries} queries has a positive in the database: "
            "check the ground truth"
        )
    return means
