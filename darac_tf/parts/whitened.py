"""Whitening of parts: learned from them in one pass, applied to them part by part.

Whitened parts keep the whitening beside them, `whitening.npz`, so that queries are described as
they are; their fingerprint is that of the model with the whitening.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from darac_tf.describing.combination import whiten, whitening_arrays
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.errors import UserError
from darac_tf.memory import release
from darac_tf.parts.part_files import dead_letters, fault_of_part, remove_leftovers, write_part
from darac_tf.parts.part_rows import PartRows
from darac_tf.threads import look_ahead
from darac_tf.whitening import fit_pca_whitening, load_whitening

WHITENING_FILE = "whitening.npz"
_DESCRIBED_BY = "described_by"


def learn_whitening(parts, dim, shrinkage=0.0):
    """A PCA whitening of all vectors of `Parts`, in one pass; memory does not grow with them.

    `dim` and `shrinkage` are those of `fit_pca_whitening`, which says what is raised; "auto" takes
    a second pass.
    """
    facts = {"images": str(parts.folder), "model": parts.model, "manifest": parts.layout.manifest}
    return fit_pca_whitening(PartRows(parts), dim, facts, shrinkage)


def whiten_parts(parts, whitening, out, progress=lambda: None):
    """Writes whitened parts, all that are not there yet.

    Args:
        parts: `Parts`.
        whitening: `Whitening`.
        out: Folder for them; parts that were begun with the same are continued.
        progress: Called after each part.

    Raises:
        UserError: If the whitening is for another dimension, the parts are whitened already, or
            `out` holds something else.
    """
    out = Path(out)
    if _DESCRIBED_BY in parts.layout.facts:
        raise UserError(f"{parts.folder} is whitened already: name the parts it was made from")
    mean, projection = whitening_arrays(whitening, parts.dim)
    facts = {**parts.layout.facts, _DESCRIBED_BY: parts.model}
    layout = dataclasses.replace(
        parts.layout,
        model=model_fingerprint(parts.model, mean.tobytes(), projection.tobytes()),
        dim=len(projection),
        facts=facts,
    )
    layout.begin(out)
    remove_leftovers(out)
    if not (out / WHITENING_FILE).exists():
        whitening.save(out / WHITENING_FILE)

    def write(part):
        if fault_of_part(out, layout, part) is not None:
            columns = parts.columns(part)
            columns["vector"] = whiten(np.asarray(columns["vector"], np.float32), mean, projection)
            write_part(out, layout, part, columns, dead_letters(parts.folder, part))
            release(parts.vectors(part))

    with ThreadPoolExecutor(1) as pool:
        for _ in look_ahead(pool, write, range(len(layout)), 1):
            progress()


def as_parts(parts, vectors):
    """Vectors of the model of `Parts`, float32 `(n, D)`, whitened where the parts are."""
    if _DESCRIBED_BY not in parts.layout.facts:
        return vectors
    whitening = load_whitening(parts.folder / WHITENING_FILE)
    mean, projection = whitening_arrays(whitening, vectors.shape[1])
    own = model_fingerprint(parts.layout.facts[_DESCRIBED_BY], mean.tobytes(), projection.tobytes())
    if own != parts.model:
        raise UserError(f"{parts.folder / WHITENING_FILE} is not what the parts were whitened with")
    return whiten(vectors, mean, projection)


def check_model(parts, model):
    """`UserError` if an `ExportedModel` has not described `Parts`, before their whitening."""
    described_by = parts.layout.facts.get(_DESCRIBED_BY, parts.model)
    if model.fingerprint != described_by:
        raise UserError(
            f"{parts.folder} was described by another model ({described_by}) than {model.folder} "
            f"({model.fingerprint}): use that one"
        )
