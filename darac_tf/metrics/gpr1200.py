"""Scores of GPR1200: 12,000 images of 1200 categories, ten each, from six domains.

Schall, Barthel, Hezel and Jung, "GPR1200: A Benchmark for General-Purpose Content-Based Image
Retrieval", MMM 2022 (arXiv 2111.13122).

The paper speaks of the full mean average precision, images not being divided into queries and
index. Its evaluation code ranks all 12,000 images for each of them **without taking the query out**
and takes all ten images of its category as positives, the query among them. Scores of GPR1200 are
comparable only so, and are higher than leave-one-out scores of the same rankings: the query finds
itself at rank 1, and that is one hit in ten.
"""

from pathlib import PurePath

from darac_tf.metrics.hits import distinct_items, hit_ranks, precision_sum

METRIC = "mAP (GPR1200)"

# 200 categories each, in the order of the category numbers that the file names start with.
DOMAINS = ("Landmarks", "iNaturalist", "ImageNet Sketch", "INSTRE", "SOP", "Faces")
_CATEGORIES_PER_DOMAIN = 200


def gpr1200_average_precision(ranking, positives):
    """Plain average precision over the whole database, the query being one of the positives.

    `AP = 1/|P| * sum_{i: r_i in P} |P ∩ {r_1..r_i}| / i`, which is `plain_average_precision`; only
    the lists differ from a leave-one-out evaluation.

    Query q of the category {q, a} with the ranking `q b a` has hits at ranks 1 and 3, so
    `AP = (1/1 + 2/3) / 2` (leave-one-out, a would be at rank 2 and the score 1/2):

    >>> round(gpr1200_average_precision(["q", "b", "a"], {"q", "a"}), 4)
    0.8333

    Args:
        ranking: Sequence of database items (integers or names), best first, each at most once. The
            official code ranks the whole database. Positives that a truncated ranking lacks count
            as never found here; there they would leave the divisor.
        positives: Collection of all images of the query's category, with the query itself.

    Returns:
        Float in [0, 1], or NaN without positives.

    Raises:
        ValueError: If the ranking lists an item twice, or names are compared with numbers.
    """
    ranks, n_positives = hit_ranks(distinct_items(ranking), positives)
    return precision_sum(ranks) / n_positives if n_positives else float("nan")


def gpr1200_domains(paths):
    """The domain of each image, from the category number in its file name.

    >>> gpr1200_domains(["images/7_a.jpg", "images/1199_b.jpg"])
    ['Landmarks', 'Faces']
    >>> gpr1200_domains(["7_a.jpg", "cat.jpg"]) is None
    True

    Args:
        paths: Paths of images, named `<category>_<name>.jpg` with the category in 0..1199.

    Returns:
        List of names in `DOMAINS`, or None where a file name has no such number.
    """
    domains = []
    for path in paths:
        category, separator, _ = PurePath(str(path)).name.partition("_")
        if not (separator and category.isascii() and category.isdecimal()):
            return None
        domain = int(category) // _CATEGORIES_PER_DOMAIN
        if domain >= len(DOMAINS):
            return None
        domains.append(DOMAINS[domain])
    return domains
