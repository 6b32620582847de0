"""Pairs of images in an index whose descriptors are nearly the same."""

import itertools
import os

import numpy as np

from darac_tf.memory import release
from darac_tf.threads import in_order

_BLOCK_ROWS = 1024


def near_duplicates(index, threshold):
    """Compares all images of an `Index` with each other, in blocks.

    Yields `(similarity, path, other path)` of cosines of at least `threshold`, in (0, 1] (else a
    `ValueError`). Each pair comes once; files of the same content are pairs of similarity 1.
    Similarities are float32 products, so that a pair within 1e-6 of the threshold may be on either
    side of it.
    """
    keys, live = index.live(check=True)
    for scores, *rows in near_pairs(index, live, threshold):
        for score, *pair in zip(scores.tolist(), *rows, strict=True):
            places = np.searchsorted(live, pair)
            paths = (index.files.paths(keys[place].tobytes()) for place in places)
            yield from _named(score, itertools.product(*paths))
    for key in index.files.shared_keys():
        yield from _named(1.0, itertools.combinations(index.files.paths(key), 2))


def near_pairs(index, live, threshold, in_turn=in_order):
    """As `near_duplicates`, of some rows of the index's table, rising int64 `(n,)`.

    Yields, block by block and so often with none, arrays of similarities, float32 `(pairs,)`, and
    of the rows of each pair, int64 `(pairs,)`, the smaller first. `in_turn` computes the blocks; a
    caller that must leave processors to others may give `map`.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1]. Received: {threshold}")
    vectors = index.vectors(live)

    def compare(starts):
        first, second = (_block(vectors, start) for start in starts)
        scores = first @ second.T
        # Rounding must not lose copies, whose product may be a little less than 1.
        left, right = np.nonzero(scores >= np.float32(threshold - 1e-6))
        return starts[0] + left, starts[1] + right, scores[left, right]

    blocks = itertools.combinations_with_replacement(range(0, len(live), _BLOCK_ROWS), 2)
    for left, right, scores in in_turn(compare, blocks):
        is_pair = left < right
        yield np.minimum(scores[is_pair], 1), live[left[is_pair]], live[right[is_pair]]


def _block(vectors, start):
    block = np.array(vectors[start : start + _BLOCK_ROWS])
    release(vectors, start, start + _BLOCK_ROWS)
    return block


def _named(similarity, pairs):
    for pair in pairs:
        yield similarity, *map(os.fsdecode, pair)
