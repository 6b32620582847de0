"""Matching pairs for the learned whitening, drawn from labels."""

import numpy as np

from darac_tf.errors import UserError


def matching_pairs(labels, max_pairs=None, seed=0):
    """Draws distinct pairs of images that have the same label.

    Each class is put on a circle in random order. Round r pairs every image with the one r places
    on, so that each image of a class occurs about equally often, and a class of c images has of
    the order of c pairs rather than c^2: large classes do not drown the small ones. Rounds are
    added until there are `max_pairs`; of the last one a random part is taken.

    Args:
        labels: `(images,)` integers or strings.
        max_pairs: Most pairs to draw, at least 1. None gives all pairs there are.
        seed: The same seed gives the same pairs.

    Returns:
        Tuple of int64 `(pairs,)` rows of the first and of the second image; no pair occurs twice,
        in either order.

    Raises:
        UserError: If no two images share a label.
        ValueError: If `labels` is not one-dimensional or `max_pairs` is below 1.

    >>> matching_pairs(["a", "b", "a"])
    (array([2]), array([0]))
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must be (images,). Received: shape {labels.shape}")
    if max_pairs is not None and max_pairs < 1:
        raise ValueError(f"max_pairs must be at least 1. Received: {max_pairs}")
    random = np.random.default_rng(seed)
    rows, places, starts, counts = _circles(labels, random)
    chosen, wanted = [], np.inf if max_pairs is None else max_pairs
    for step in range(1, int(counts.max(initial=0)) // 2 + 1):
        # At half of an even circle each pair would come up from both its ends.
        is_new = (2 * step < counts) | ((2 * step == counts) & (places < step))
        at = np.flatnonzero(is_new)
        if len(at) > wanted:
            at = random.choice(at, int(wanted), replace=False)
        chosen.append((rows[at], rows[starts[at] + (places[at] + step) % counts[at]]))
        wanted -= len(at)
        if wanted <= 0:
            break
    if not chosen:
        raise UserError("no two images of the whitening set share a label: use a labelled set")
    first, second = (np.concatenate(rows) for rows in zip(*chosen, strict=True))
    return first, second


def _circles(labels, random):
    """Rows grouped by label, shuffled within; place on, start and size of each one's circle."""
    shuffled = random.permutation(len(labels))
    _, numbers, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return shuffled[order], np.arange(len(labels)) - starts, starts, np.repeat(counts, counts)
