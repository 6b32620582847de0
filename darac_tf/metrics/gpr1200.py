"""Scores of GPR1200: 12,000 images of 1200 categories, ten each, from six domains.

Schall, Barthel, Hezel and Jung, "GPR1200: A Benchmark for General-Purpose Content-Based Image
Retrieval", MMM 2022 (arXiv 2111.13122).

The paper speaks of the full mean average precision, images not being divided into queries and
index. Its evaluation code ranks all 12,000 images for each of them **without taking the query out**
and takes all ten images of its category as positives, the query among them. The score of a query is
`plain.plain_average_precision` of these lists. Scores of GPR1200 are comparable only so, and are
higher than leave-one-out scores of the same rankings: the query finds itself at rank 1, and that is
one hit in ten. (Positives that a truncated ranking lacks count as never found here; in that code
they would leave the divisor.)
"""

from pathlib import PurePath

import numpy as np

# 200 categories each, in the order of the category numbers that the file names start with.
DOMAINS = ("Landmarks", "iNaturalist", "ImageNet Sketch", "INSTRE", "SOP", "Faces")
_CATEGORIES_PER_DOMAIN = 200


def domain_scores(paths, ap):
    """The average precision for each domain apart.

    Args:
        paths: `(Q,)` paths of the queries.
        ap: float64 `(Q,)`.

    Returns:
        For each domain that has a query, in the order of `DOMAINS`, `(Q,)` under "ap (DOMAIN)", NaN
        outside it. Empty where file names don't tell the domains.
    """
    domains = np.array(gpr1200_domains(paths) or [])
    return {
        f"ap ({domain})": np.where(domains == domain, ap, np.nan)
        for domain in DOMAINS
        if domain in domains
    }


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
