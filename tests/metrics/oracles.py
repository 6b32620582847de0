"""The official definitions as plain loops over the ranks, one step at a time."""


def oxford_ap(ranking, positives, junk=()):
    """The walk down the list of the Oxford buildings tool."""
    positives, junk = set(positives), set(junk)
    area, seen, hits = 0.0, 0, 0
    old_recall, old_precision = 0.0, 1.0
    for item in ranking:
        if item in junk:
            continue
        seen += 1
        hits += item in positives
        recall, precision = hits / len(positives), hits / seen
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def plain_ap(ranking, positives):
    """Mean of the precision at each hit."""
    positives = set(positives)
    total, hits = 0.0, 0
    for rank, item in enumerate(ranking, start=1):
        if item in positives:
            hits += 1
            total += hits / rank
    return total / len(positives)


def revisited_precision(ranking, positives, junk, k):
    """Precision at k of a full ranking without junk, cut at the last positive."""
    kept = [item for item in ranking if item not in set(junk)]
    last = max(rank for rank, item in enumerate(kept, start=1) if item in set(positives))
    cut = min(last, k)
    return sum(item in set(positives) for item in kept[:cut]) / cut
