"""Tuples of a query, a positive and hard negatives, mined with the model once an epoch.

Source: GeM (Radenovic et al., arXiv 1711.02512), section 4.2: no two negatives of a query show the
same scene.
"""

from pathlib import Path

import numpy as np

from darac_tf.data.samplers import TupleSampler
from darac_tf.describing.extraction import extract_features
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

# Keeps its random numbers apart from those of the sampler and the augmentation.
_STREAM = 3
_BLOCK = 256


class HardNegatives:
    """Tuples of a query, a random positive and its hardest negatives in a random pool.

    An epoch is `mining_queries` queries. Its tuples are mined with the model at its first step and
    kept in the run directory, so that a resumed run goes on with the same ones. Arguments are those
    of `make_sampling`.
    """

    def __init__(self, config, run_dir, model, images):
        count = len(np.unique(images.labels))
        if count <= config.tuple_negatives:
            raise UserError(
                f"--tuple_negatives={config.tuple_negatives} needs as many classes besides the "
                f"query's; there are {count} in all"
            )
        self._config = config
        self._folder = Path(run_dir) / "mined"
        self._images = images
        self._model = model

    def epochs(self, first, last):
        """Yields `(sampler, start, stop)` for each epoch; mines when the epoch is reached."""
        per_batch = self._config.tuples_per_batch
        steps = self._config.mining_queries // per_batch
        while first < last:
            epoch = first // steps
            stop = min((epoch + 1) * steps, last)
            yield TupleSampler(self._tuples(epoch), per_batch, epoch * steps), first, stop
            first = stop

    def _tuples(self, epoch):
        """int64 `(queries, images of a tuple)`."""
        file = self._folder / f"{epoch:06d}.npy"
        if file.exists():
            return self._stored(file)
        tuples = self._mine(epoch)
        with atomic_path(file) as path:
            np.save(path, tuples)
        return tuples

    def _stored(self, file):
        try:
            tuples = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: is damaged; remove it, and it is mined again") from error
        shape = self._config.mining_queries, self._config.tuple_size
        if tuples.shape != shape or tuples.min() < 0 or tuples.max() >= len(self._images):
            raise UserError(f"{file}: is of another run; remove it, and it is mined again")
        return tuples

    def _mine(self, epoch):
        config, labels = self._config, self._images.labels
        random = np.random.default_rng([config.seed, _STREAM, epoch])
        pairs = draw_pairs(labels, config.mining_queries, random, self._images.pairs)
        pool = np.sort(random.permutation(len(labels))[: config.mining_pool])
        queries, place = np.unique(pairs[:, 0], return_inverse=True)
        described = np.union1d(queries, pool)
        vectors = self._describe(described)
        of_pool = vectors[np.searchsorted(described, pool)]
        of_queries = vectors[np.searchsorted(described, queries)]
        negatives = []
        for start in range(0, len(pairs), _BLOCK):
            rows = slice(start, start + _BLOCK)
            similarities = of_queries[place[rows]] @ of_pool.T
            own = labels[pairs[rows, 0]]
            found = hardest_negatives(similarities, own, labels[pool], config.tuple_negatives)
            negatives.append(pool[found])
        return np.concatenate([pairs, np.concatenate(negatives)], axis=1)

    def _describe(self, indices):
        """float32 `(len(indices), dim)`."""
        size, batch_pixels = self._config.image_size, self._config.val_batch_pixels
        images = self._images.image_list(indices)

        def describe(pixels):
            return {"": self._model(pixels, training=False)}

        return extract_features(describe, images, [size], batch_pixels=batch_pixels)[size][""]


def draw_pairs(labels, count, random, listed=None):
    """int64 `(count, 2)`: queries and an image of the same class of each, of `labels` `(images,)`.

    Each query comes as often as the others up to one; an image that is alone in its class is none.
    Where pairs are `listed`, int64 `(pairs, 2)`, it is those that come equally often.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    eligible = np.flatnonzero(sizes[labels] > 1) if listed is None else np.arange(len(listed))
    if not eligible.size:
        raise UserError("no two images match: there are no positives to train on")
    rounds = [random.permutation(eligible) for _ in range(-(-count // len(eligible)))]
    queries = np.concatenate(rounds)[:count]
    if listed is not None:
        return listed[queries]
    # A step of 1 to size - 1 along the class's images never comes back to the query.
    size, start = sizes[labels[queries]], starts[labels[queries]]
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))
    step = 1 + (random.random(len(queries)) * (size - 1)).astype(np.int64)
    positives = order[start + (place[queries] - start + step) % size]
    return np.stack([queries, positives], axis=1)


def hardest_negatives(similarities, query_labels, pool_labels, count):
    """For each query the most similar images of other classes, one of each class.

    Of similarities `(queries, pool)` and the labels of both; int64 `(queries, count)`, rows of the
    pool, the most similar first. Equal similarities keep the order of the pool.
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
