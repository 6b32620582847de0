"""An index in a database of others: what is new goes there, what is gone goes; and searched there.

A row's id is `uuid.uuid5(uuid.NAMESPACE_URL, "file:///...")` of its file, the same in every push.
Its mark names the model and the content of the file. The database itself says what it has, so that
a push that was interrupted goes on with the next.
"""

import itertools
import os
import uuid
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from darac_tf.data.labelled import as_text
from darac_tf.databases import Row
from darac_tf.errors import UserError
from darac_tf.search.query import Result

_MODEL_DIGITS = 16
_CONTENT_BYTES = 16
# Files of the same content may take each other's place at the end of the first k.
_TIE = 1e-5


class Pushed(NamedTuple):
    """What a push did, in rows."""

    total: int  # There now.
    put: int  # New, or changed.
    deleted: int  # Of files that are gone from the index.


def push(index, database, batch_rows=256, progress=True):
    """Brings a database up to date with an index.

    Args:
        index: `Index`.
        database: `Database`; its collection is made where there is none.
        batch_rows: Rows that are sent at once, at least 1.
        progress: Whether to show a progress bar.

    Returns:
        `Pushed`.

    Raises:
        UserError: If the index holds no image, the collection holds other rows than those of a push
            by the same model, or the database fails. What was sent stays; the next push goes on.
    """
    keys, live = index.live(check=True)
    if not len(live):
        raise UserError(f"{index.folder} holds no image yet: index again")
    vectors, model = index.vectors(live), index.settings["model"]
    with database.reached():
        database.prepare(index.settings["dimension"])
        known = database.marks()
    if strange := [mark for mark in known.values() if not _is_of(mark, model)]:
        raise UserError(
            f"{database.name}: {len(strange)} of its {len(known)} rows are not of this model and "
            "command: name another --collection, or delete it"
        )
    total, put, batch = 0, 0, []
    hide = not progress
    with (
        tqdm(total=len(keys), desc="push", unit=" images", disable=hide) as bar,
        database.reached(),
    ):
        for place, key in enumerate(keys):
            mark = _mark(model, key)
            for path in index.files.paths(key.tobytes()):
                total += 1
                if known.pop(name := _id_of(path), None) != mark:
                    batch.append((place, name, as_text(os.fsdecode(path)), mark))
            if len(batch) >= batch_rows or place == len(keys) - 1:
                put += len(batch)
                _put(database, batch, vectors)
                batch = []
            bar.update()
        gone = list(known)
        for start in range(0, len(gone), batch_rows):
            database.delete(gone[start : start + batch_rows])
    return Pushed(total, put, len(gone))


def find_in_database(index, database, vectors, top_k):
    """Searches a database that an `Index` was pushed to.

    `vectors` are those of queries, float32 `(queries, dimension)`; `top_k` images are found for
    each. Returns a list of lists of `query.Result`. `UserError` if the database fails, or does not
    hold vectors of the index's model.
    """
    with database.reached():
        if database.dimension() != index.settings["dimension"]:
            raise UserError(f"{database.name} does not hold this index: darac push brings it there")
        found = [database.search(vector, top_k) for vector in vectors]
    for _, path, mark in itertools.chain(*found):
        if not _is_of(mark, index.settings["model"]):
            raise UserError(f"{database.name}: {path} is not of the index's model: push again")
    return [list(itertools.starmap(_result, enumerate(rows, 1))) for rows in found]


def recall_of(found, exact):
    """The share of the exact results that a search has found, for lists of lists of `Result`."""
    right = [
        min(len(best), sum(_is_right(each, best) for each in some))
        for some, best in zip(found, exact, strict=True)
    ]
    return sum(right) / sum(map(len, exact))


def _result(rank, row):
    return Result(rank, float(np.clip(row[0], -1, 1)), row[1])


def _is_right(result, best):
    names = {as_text(each.path) for each in best}
    return result.path in names or abs(result.similarity - best[-1].similarity) < _TIE


def _put(database, batch, vectors):
    if batch:
        places, *columns = zip(*batch, strict=True)
        rows = vectors[np.array(places)]
        database.put([Row(*values) for values in zip(*columns, rows, strict=True)])


def _mark(model, key):
    return f"{model[:_MODEL_DIGITS]}-{key[:_CONTENT_BYTES].tobytes().hex()}"


def _is_of(mark, model):
    return mark is not None and mark.startswith(f"{model[:_MODEL_DIGITS]}-")


def _id_of(path):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, Path(os.fsdecode(path)).as_uri()))
