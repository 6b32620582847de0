"""Tuples of a query, a positive and hard negatives, as GeM trains on."""

import numpy as np

from darac_tf.errors import UserError


def draw_pairs(labels, count, random):
    """Queries and a positive of each.

    Args:
        labels: int `(images,)`.
        count: Pairs to draw.
        random: `numpy.random.Generator`.

    Returns:
        int64 `(count, 2)`: queries, each as often as the others up to one (images of classes with
        one image only are none), and an image of the same class.

    Raises:
        UserError: If no class has two images.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    eligible = np.flatnonzero(sizes[labels] > 1)
    if not eligible.size:
        raise UserError("no class has two images: there are no positives to train on")
    rounds = [random.permutation(eligible) for _ in range(-(-count // len(eligible)))]
    queries = np.concatenate(rounds)[:count]
    # A step of 1 to size - 1 along the class's images never comes back to the query.
    size, start = sizes[labels[queries]], starts[labels[queries]]
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))
    step = 1 + (random.random(len(queries)) * (size - 1)).astype(np.int64)
    positives = order[start + (place[queries] - start + step) % size]
    return np.stack([queries, positives], axis=1)


def hardest_negatives(similarities, query_labels, pool_labels, count):
    """For each query the most similar images of other classes, one of each class.

    Args:
        similarities: float `(queries, pool)`.
        query_labels: int `(queries,)`.
        pool_labels: int `(pool,)`.
        count: Negatives of each query.

    Returns:
        int64 `(queries, count)`, rows of the pool, the most similar first; equal similarities keep
        the order of the pool.

    Raises:
        UserError: If the pool has too few other classes for a query.

    Source: GeM (Radenovic et al., arXiv 1711.02512), section 4.2: no two negatives of a query show
    the same scene.
    """
    chosen = np.empty((len(similarities), count), np.int64)
    for query, row in enumerate(similarities):
        others = np.flatnonzero(pool_labels != query_labels[query])
        ranked = others[np.argsort(-row[others], kind="stable")]
        _, first = np.unique(pool_labels[ranked], return_index=True)
        if len(first) < count:
            raise UserError(
                f"--tuple_negatives={count} needs as many classes besides the query's in the pool, "
                f"which has {len(first)}: lower it, or raise --mining_pool"
            )
        chosen[query] = ranked[np.sort(first)[:count]]
    return chosen


class TupleSampler:
    """Walks through a table of tuples, one after another.

    Args:
        tuples: int `(n, images of a tuple)`, images.
        tuples_per_batch: Tuples a step.
        first_step: Step of the run that starts the table.
    """

    def __init__(self, tuples, tuples_per_batch, first_step):
        self.batch_size = tuples_per_batch * tuples.shape[1]
        self._images = tuples.reshape(-1, self.batch_size).astype(np.int64)
        self._first = first_step

    def batch(self, step):
        """The images of a step of the run: int64 `(tuples * images of a tuple,)`."""
        return self._images[step - self._first]
