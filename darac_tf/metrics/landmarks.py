"""The retrieval score of the Google Landmarks Dataset v2: mAP@100.

Weyand et al., "Google Landmarks Dataset v2 - A Large-Scale Benchmark for Instance-Level Recognition
and Retrieval", CVPR 2020.
"""

from darac_tf.errors import UserError
from darac_tf.metrics.scores import distinct_items, hit_ranks, precision_sum


def landmarks_average_precision(ranking, positives, cutoff=100):
    """Plain average precision of the first 100 ranks.

    `AP@100 = 1 / min(n, 100) * sum_{i <= 100} P@i * rel_i` with n positives, rel_i = 1 where rank
    i has one of them, and P@i the share of positives among the first i. The divisor is capped: a
    query with 500 positives reaches 1 by 100 right answers.

    Ranking `b a d c` with the positives a, c and e, cut after 3 ranks: one hit, at rank 2, so
    `AP@3 = (1/2) / min(3, 3)`:

    >>> round(landmarks_average_precision(["b", "a", "d", "c"], {"a", "c", "e"}, cutoff=3), 4)
    0.1667

    Args:
        ranking: Sequence of index items (integers or names), best first, each at most once. (The
            published code lets a repetition use up a rank; here it is an error.)
        positives: Collection of the right items; repetitions count once.
        cutoff: Number of ranks that count, at least 1.

    Returns:
        Float in [0, 1], or NaN without positives.

    Raises:
        ValueError: As `oxford.average_precision`, or if the cutoff is below 1.
    """
    if cutoff < 1:
        raise ValueError(f"cutoff must be at least 1. Received: {cutoff}")
    ranks, n_positives = hit_ranks(distinct_items(ranking), positives)
    if n_positives == 0:
        return float("nan")
    return precision_sum(ranks[ranks < cutoff]) / min(n_positives, cutoff)


def mean_landmarks_scores(rankings, positives, cutoff=100):
    """mAP@100 over the queries that have a positive.

    A query without a ranking scores 0, as in the published code.

    Args:
        rankings: Dict of query to ranking, as in `landmarks_average_precision`.
        positives: Dict of every query to the collection of its right items.
        cutoff: Number of ranks that count, at least 1.

    Returns:
        Dict of one float in [0, 1].

    Raises:
        UserError: If a ranking is of a query that `positives` lacks, or no query has a positive.
        ValueError: As `landmarks_average_precision`.
    """
    unknown = [query for query in rankings if query not in positives]
    if unknown:
        raise UserError(
            f"GLDv2: the ranked query {unknown[0]} is not in the ground truth: "
            "rank the queries of the ground truth file"
        )
    scored = [query for query in positives if len(positives[query])]
    if not scored:
        raise UserError(
            f"GLDv2: none of the {len(positives)} queries has a positive: check the ground truth"
        )
    total = sum(
        landmarks_average_precision(rankings.get(query, ()), positives[query], cutoff)
        for query in scored
    )
    return {f"mAP@{cutoff} (GLDv2)": total / len(scored)}
