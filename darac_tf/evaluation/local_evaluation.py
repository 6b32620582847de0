"""Measures local features: every image of the database is matched with every query."""

import numpy as np

from darac_tf.describing.sizes import Factor
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import measured_row
from darac_tf.local_features import ExtractionSettings, rank_by_inliers
from darac_tf.ranking.rank import Rankings


def evaluate_local(sources, task, settings):
    """Yields a `Measured` for each source and resolution setting.

    Args:
        sources: List of `local.LocalSource`.
        task: `Task`.
        settings: `Settings`; its resolutions are factors of the image's size.

    Raises:
        UserError: If a resolution is no factor, or an image can't be read.
    """
    for sizes in settings.resolutions:
        if not all(isinstance(size, Factor) for size in sizes):
            raise UserError("--matching=local takes factors of the size, as --resolutions=0.25..2")
    for source in sources:
        note = source.check(task)
        for sizes in settings.resolutions:
            yield _measured(source, sizes, task, settings, (note,) if note else ())


def _measured(source, sizes, task, settings, notes):
    extraction = ExtractionSettings(scales=sizes)
    with source.features(task.images, extraction, settings) as (store, skipped):
        queries = [store[place] for place in task.queries]
        database = _First(store, task.n_database)
        rows, inliers = rank_by_inliers(queries, database, task.exclude)
    kept = slice(settings.ranking.top_k)
    rankings = Rankings(rows[:, kept], inliers[:, kept].astype(np.float32))
    notes = (*notes, f"Up to {extraction.max_features} local features an image, by inliers.")
    paths = task.images.paths
    left_out = [{"path": str(paths[index]), "reason": why} for index, why in skipped]
    dimension = len(source.reduction.projection)
    return measured_row(
        source.name, dimension, sizes, rankings, None, task, settings, notes, left_out
    )


class _First:
    """The first images of a store: the database, which comes before the queries."""

    def __init__(self, store, count):
        self._store, self._count = store, count

    def __len__(self):
        return self._count

    def __getitem__(self, image):
        return self._store[image]
