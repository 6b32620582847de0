"""Scores of GPR1200: 12,000 images of 1200 categories, ten each, from six domains.

Schall, Barthel, Hezel and Jung, "GPR1200: A Benchmark for General-Purpose Content-Based Image
Retrieval", MMM 2022 (arXiv 2111.13122).

The paper's evaluation code ranks all images for each of them **without taking the query out** and
takes all ten images of its category as positives, the query among them. So scores are higher than
leave-one-out scores of the same rankings: the query finds itself at rank 1, and that is one hit in
ten. The score of a query is `plain.plain_average_precision`. (Positives that a truncated ranking
lacks count as never found here; in that code they would leave the divisor.)
"""

import re
from pathlib import PurePath

import numpy as np

# 200 categories each, in the order of the category numbers that the file names start with.
DOMAINS = ("Landmarks", "iNaturalist", "ImageNet Sketch", "INSTRE", "SOP", "Faces")
_CATEGORIES_PER_DOMAIN = 200


def domain_scores(paths, ap):
    """Average precision `(Q,)` by domain, "ap (DOMAIN)", with NaN for queries of other domains.

    Empty where the file names of the queries don't tell the domains.
    """
    domains = np.array(gpr1200_domains(paths) or [])
    return {
        f"ap ({domain})": np.where(domains == domain, ap, np.nan)
        for domain in DOMAINS
        if domain in domains
    }


def gpr1200_domains(paths):
    """The domain of each image, from the category number in its file name: names in `DOMAINS`.

    >>> gpr1200_domains(["images/7_a.jpg", "images/1199_b.jpg"])
    ['Landmarks', 'Faces']

    None where a file is not named `<category>_<name>.jpg` with the category in 0..1199.
    """
    numbers = [re.match(r"([0-9]+)_", PurePath(str(path)).name) for path in paths]
    if not all(numbers):
        return None
    domains = [int(number[1]) // _CATEGORIES_PER_DOMAIN for number in numbers]
    if max(domains, default=0) >= len(DOMAINS):
        return None
    return [DOMAINS[domain] for domain in domains]
