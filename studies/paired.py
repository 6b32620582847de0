"""Intervals of the difference of two settings over seeds and queries together."""

import numpy as np


def seeds_and_queries(differences, resamples=10_000, seed=0):
    """Mean of paired differences, and its 95 % percentile interval.

    Seeds, the same for all sets, and the queries of each set are drawn with replacement, as many as
    there are; the mean over the sets of the mean of what is drawn is one sample. The interval
    speaks of other seeds and other queries of the same kind.

    >>> seeds_and_queries([np.full((3, 2), 0.25), np.full((3, 5), 0.75)])
    (0.5, (0.5, 0.5))

    Args:
        differences: List of a set each, float `(seeds, queries)`, finite.
        resamples: Samples.
        seed: Of the random numbers.

    Returns:
        `(mean, (low, high))`.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    random = np.random.default_rng(seed)
    seeds = len(differences[0])
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    samples = np.zeros(resamples)
    for each in differences:
        count = each.shape[1]
        of_queries = random.multinomial(count, np.full(count, 1 / count), resamples) / count
        samples += ((of_seeds @ each) * of_queries).sum(axis=1) / len(differences)
    low, high = np.quantile(samples, [0.025, 0.975])
    mean = np.mean([each.mean() for each in differences])
    return float(mean), (round(float(low), 12), round(float(high), 12))
