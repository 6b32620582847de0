"""Measures vectors of feature files: what `evaluator` does, with nothing to describe."""

import contextlib
import dataclasses

import numpy as np

from darac_tf.data.images import unreadable
from darac_tf.describing.vectors import Vectors
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import measured_row
from darac_tf.ranking.rank import rank

# What the table says where the maker of a file did not tell.
_UNKNOWN_SIZES = ("as made",)


def evaluate_features(files, task, settings):
    """Yields a `Measured` for each file, and one more with whitening where that is wanted.

    Resolutions and their combination of the settings do not apply: they are in the vectors.

    Args:
        files: List of `FeatureFile`.
        task: `Task` of whole images as they are stored.
        settings: `Settings`.

    Raises:
        UserError: If a file lacks an image; if an image could not be decoded, without `skip_bad`;
            if the task looks at parts of images or turns them; or if the whitening can't be fitted
            or is of images of the task.
    """
    if not files:
        return
    # How the vectors were combined is in the file, if anywhere.
    settings = dataclasses.replace(settings, combination="sum", exponent=None)
    note = settings.whitening.check(task) if settings.whitening else None
    with contextlib.ExitStack() as stack:
        if settings.ranking.rerank == "local":
            stack.enter_context(settings.local.reranking(task, settings))
        for file in files:
            found = _Found(file, task.images, settings.skip_bad)
            yield _measure(file, found, None, task, settings, ())
            if settings.whitening:
                notes = (note,) if note else ()
                whitening = _whitening(file, settings)
                yield _measure(file, found, whitening, task, settings, notes)


class _Found:
    """Vectors of a list of images."""

    def __init__(self, file, images, skip_bad):
        _check_whole(file, images)
        rows = file.rows_of(images.paths)
        self.usable = file.valid[rows]
        bad = [str(path) for path in images.paths[~self.usable]]
        if bad and not skip_bad:
            raise UserError(f"{unreadable(bad[0])} (or --skip_bad_images); so {file.name} has it")
        if not self.usable.any():
            raise UserError(f"{file.name}: none of the {len(rows)} images could be decoded")
        self.skipped = [{"path": path, "reason": unreadable(path)} for path in bad]
        vectors = np.where(self.usable[:, None], file.vectors[rows], np.float32(0))
        self.vectors = Vectors([vectors])


def _measure(file, found, whitening, task, settings, notes):
    vectors = found.vectors if whitening is None else found.vectors.whitened(whitening)
    rankings = rank(vectors, task, settings.ranking, found.usable)
    if settings.ranking.rerank == "local":
        rankings = settings.local.reranked(rankings, settings.ranking.rerank_depth)
    return measured_row(
        file.name,
        vectors.shape[1],
        _sizes(file),
        rankings,
        whitening,
        task,
        settings,
        (*notes, _origin(file)),
        found.skipped,
    )


def _origin(file):
    return (
        f"Vectors of {file.name} were made by {file.provenance.get('made_by', 'something else')}."
    )


def _whitening(file, settings):
    if settings.whitening.images is None:
        return settings.whitening.loaded
    fitted = _Found(file, settings.whitening.images, settings.skip_bad)
    rows = np.flatnonzero(fitted.usable)
    return settings.whitening.fit(fitted.vectors, rows, file.name, _sizes(file))


def _sizes(file):
    sizes = file.provenance.get("resolutions")
    known = isinstance(sizes, list) and sizes and all(isinstance(size, str) for size in sizes)
    return tuple(sizes) if known else _UNKNOWN_SIZES


def _check_whole(file, images):
    parts = images.boxes is not None and not np.isnan(images.boxes).any(axis=1).all()
    if parts or (images.turns is not None and np.any(images.turns)):
        raise UserError(
            f"{file.name} has vectors of whole images as they are stored: give --nocrop_queries "
            "and --orientation=stored"
        )
