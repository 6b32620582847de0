"""Scores of ROxford and RParis: easy, medium and hard, each with mAP and mP@k.

Radenovic et al., "Revisiting Oxford and Paris: Large-Scale Image Retrieval Benchmarking", CVPR
2018. The queries are not in the database.
"""

from darac_tf.metrics.oxford import trapezoid_area
from darac_tf.metrics.scores import distinct_items, hit_ranks

# What is right and what is skipped in each setting, as names of the ground truth's lists.
SETTINGS = {
    "Easy": (("easy",), ("hard", "junk")),
    "Medium": (("easy", "hard"), ("junk",)),
    "Hard": (("hard",), ("easy", "junk")),
}
CUTOFFS = (1, 5, 10)


def revisited_scores(ranking, easy, hard, junk=(), cutoffs=CUTOFFS):
    """Average precision and precision at k of one query in the three settings.

    The average precision is the trapezoid one (`average_precision`) of the ranking without the
    junk. The precision at k stops at the last positive, so that a query with few positives can
    still reach 1: with n_k hits among the first k ranks without junk, and the last positive at
    rank L, `P@k = n_q / q` where `q = min(k, L)`. A truncated ranking that lacks a positive leaves
    L beyond its end, and q is k: the precision is that of the full ranking wherever the truncated
    one keeps k ranks besides the junk.

    Ranking `b e x h` with easy e, hard h and junk x. Easy: h and x are skipped, e has rank 2, so
    `AP = (0/1 + 1/2) / 2`. Medium: e has rank 2 and h rank 3, so
    `AP = ((0/1 + 1/2) / 2 + (1/2 + 2/3) / 2) / 2`, and `P@5 = 2/3` as the last positive has rank 3:

    >>> scores = revisited_scores(["b", "e", "x", "h"], ["e"], ["h"], ["x"], cutoffs=(5,))
    >>> {name: round(value, 4) for name, value in scores.items() if "Hard" not in name}
    {'ap (Easy)': 0.25, 'p@5 (Easy)': 0.5, 'ap (Medium)': 0.4167, 'p@5 (Medium)': 0.6667}

    Args:
        ranking: As `average_precision` takes it.
        easy: Collection of the right items that are easy to see.
        hard: Collection of the right items that are hard to see. Repetitions count once.
        junk: Collection of the items that are skipped in every setting. The three collections have
            no item in common.
        cutoffs: The k of the precision at k.

    Returns:
        Dict of floats in [0, 1]: "ap (Easy)", "p@1 (Easy)", ..., "ap (Medium)", ..., "ap (Hard)",
        ... A setting without positives is NaN.

    Raises:
        ValueError: As `average_precision`, or if a cutoff is below 1.
    """
    if any(k < 1 for k in cutoffs):
        raise ValueError(f"cutoffs must be at least 1. Received: {cutoffs}")
    items = distinct_items(ranking)
    lists = {"easy": list(easy), "hard": list(hard), "junk": list(junk)}
    scores = {}
    for setting, names in SETTINGS.items():
        right, skipped = ([item for name in part for item in lists[name]] for part in names)
        ranks, n_positives = hit_ranks(items, right, skipped)
        scores[f"ap ({setting})"] = trapezoid_area(ranks, n_positives)
        for k in cutoffs:
            scores[f"p@{k} ({setting})"] = _precision_to_last(ranks, n_positives, k)
    return scores


def _precision_to_last(ranks, n_positives, k):
    if n_positives == 0:
        return float("nan")
    cut = min(k, int(ranks[-1]) + 1) if ranks.size == n_positives else k
    return float((ranks < cut).sum() / cut)
