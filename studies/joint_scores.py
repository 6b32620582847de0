"""APs of several test sets, plain and whitened, and files that keep what is found."""

import numpy as np

from darac_tf.describing.combination import Vectors, whiten, whitening_arrays
from darac_tf.files import atomic_path
from darac_tf.ranking.rank import RankingSettings, rank
from darac_tf.whitening.pca import fit_pca_whitening
from studies.joint_sets import whitened_by

KINDS = ("plain", "whitened")


def average_precisions(vectors, task):
    """AP of each query of a `Task`, `(queries,)`, NaN where it has no positive."""
    usable = np.ones(len(vectors), bool)
    rows = rank(Vectors([vectors]), task, RankingSettings(), usable).rows
    return np.asarray(task.score(rows).per_query["ap"], np.float64)


def scores_of(descriptors, tests, dim):
    """APs of all test sets, plain and whitened.

    Args:
        descriptors: List of dictionaries of set to unit vectors, one for each size.
        tests: Dictionary of set to `Task`.
        dim: Of the whitening.

    Returns:
        Dictionary of `(set, "plain" or "whitened")` to `(queries,)`.
    """
    combined = {name: Vectors([each[name] for each in descriptors])[:] for name in descriptors[0]}
    found = {}
    for name, task in tests.items():
        found[name, KINDS[0]] = average_precisions(combined[name], task)
        others = np.concatenate([combined[other] for other in whitened_by(name)])
        arrays = whitening_arrays(fit_pca_whitening(others, dim), others.shape[1])
        found[name, KINDS[1]] = average_precisions(whiten(combined[name], *arrays), task)
    return found


def with_files(folder, name, make):
    """A dictionary of texts to arrays, from its file or made."""
    file = folder / f"{name}.npz"
    if not file.exists():
        with atomic_path(file) as path:
            np.savez(path, **make())
    with np.load(file) as stored:
        return {key: stored[key] for key in stored.files}
