"""The average precision of the Oxford buildings tool: the area under the precision-recall curve.

Philbin, Chum, Isard, Sivic and Zisserman, "Object retrieval with large vocabularies and fast
spatial matching", CVPR 2007.
"""

import numpy as np

from darac_tf.metrics.scores import distinct_items, hit_ranks


def average_precision(ranking, positives, junk=()):
    """Area under the precision-recall curve, by trapezoids, as the Oxford buildings tool has it.

    Walk down the list without the junk; with the recall R_i and the precision P_i of the first i
    items, and R_0 = 0, P_0 = 1:

    `AP = sum_i (R_i - R_{i-1}) * (P_{i-1} + P_i) / 2`

    Recall only grows at a hit, so that a hit at rank i with j - 1 hits before it adds
    `((j - 1) / (i - 1) + j / i) / 2 / |P|` (and `1 / |P|` at rank 1). `plain_average_precision`
    adds `j / i / |P|` there: it is never below, and the two agree only where no miss stands before
    a hit.

    This is the measure of Oxford5k and Paris6k, where the query's own image is a positive and stays
    in the list, and, with other lists, of Holidays and of ROxford and RParis.

    Ranking `b a x d c` with the positives a and c and the junk x has hits at ranks 2 and 4:
    `AP = ((0/1 + 1/2) / 2 + (1/3 + 2/4) / 2) / 2 = (1/4 + 5/12) / 2`:

    >>> round(average_precision(["b", "a", "x", "d", "c"], {"a", "c"}, junk={"x"}), 6)
    0.333333

    Args:
        ranking: Sequence of database items (integers or names), best first, each at most once. It
            may be truncated: positives that it lacks count as never found.
        positives: Collection of the right items; repetitions count once.
        junk: Collection of the items that are skipped without using a rank. Where an item is both,
            it is skipped, but still counts in |P|, as in the official tool.

    Returns:
        Float in [0, 1], or NaN without positives.

    Raises:
        ValueError: If the ranking lists an item twice, or names are compared with numbers.
    """
    return trapezoid_area(*hit_ranks(distinct_items(ranking), positives, junk))


def trapezoid_area(ranks, n_positives):
    """`average_precision` from the ranks of the hits, int `(hits,)` from 0, rising.

    `n_positives` is how many positives there are, found or not.
    """
    if n_positives == 0:
        return float("nan")
    found = np.arange(ranks.size)
    # Nothing stands before the first rank; the curve starts at precision 1 there.
    before = np.divide(found, ranks, out=np.ones(ranks.size), where=ranks > 0)
    after = (found + 1) / (ranks + 1)
    return float(np.sum((before + after) / 2) / n_positives)
