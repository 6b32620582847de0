"""Pairs of images in an index whose descriptors are nearly the same."""

import os

import numpy as np

from darac_tf.memory import release
from darac_tf.threads import in_order

_BLOCK_ROWS = 1024


def near_duplicates(index, threshold):
    """Compares all images of an index with each other, in blocks.

    Args:
        index: `Index`.
        threshold: Least cosine similarity, in (0, 1].

    Yields:
        `(similarity, path, other path)`. Each pair comes once; files of the same content are pairs
        of similarity 1. Similarities are float32 products, so that a pair within 1e-6 of the
        threshold may be on either side of it.

    Raises:
        ValueError: If the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1]. Received: {threshold}")
    keys, live = index.live(check=True)
    vectors = index.vectors(live)

    def compare(starts):
        first, second = (_block(vectors, start) for start in starts)
        scores = first @ second.T
        # Rounding must not lose copies, whose product may be a little less than 1.
        left, right = np.nonzero(scores >= np.float32(threshold - 1e-6))
        return starts[0] + left, starts[1] + right, scores[left, right]

    starts = range(0, len(live), _BLOCK_ROWS)
    blocks = ((start, other) for start in starts for other in starts if other >= start)
    for lefts, rights, scores in in_order(compare, blocks):
        for left, right, score in zip(lefts, rights, scores, strict=True):
            if left < right:
                yield from _pairs(index, keys[left], keys[right], min(float(score), 1.0))
    for key in index.files.shared_keys():
        yield from _copies(index, key)


def _block(vectors, start):
    block = np.array(vectors[start : start + _BLOCK_ROWS])
    release(vectors, start, start + _BLOCK_ROWS)
    return block


def _pairs(index, key, other, similarity):
    others = index.files.paths(other.tobytes())
    for path in index.files.paths(key.tobytes()):
        for other_path in others:
            yield similarity, os.fsdecode(path), os.fsdecode(other_path)


def _copies(index, key):
    paths = list(map(os.fsdecode, index.files.paths(key)))
    for place, path in enumerate(paths):
        for other in paths[place + 1 :]:
            yield 1.0, path, other
