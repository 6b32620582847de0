"""Ground truth in the form of `gnd_*.pkl`, checked."""

from dataclasses import dataclass

import numpy as np

from darac_tf.data.benchmarks.image_files import stem
from darac_tf.data.benchmarks.unpickle import one_line
from darac_tf.errors import UserError


@dataclass(frozen=True)
class GroundTruth:
    """What is right for each query, by row in a list of image names.

    Attributes:
        source: The file or folder that it is from.
        names: Names of the N database images.
        query_names: Names of the Q query images.
        query_rows: int64 `(Q,)`, rows of the query images in `names`, -1 where one isn't there.
        lists: For each kind of relevance a list of `(Q,)` int64 arrays of rows, each ascending and
            without repetitions.
        boxes: float64 `(Q, 4)`: `xmin, ymin, xmax, ymax` in pixels.
    """

    source: str
    names: list[str]
    query_names: list[str]
    query_rows: np.ndarray
    lists: dict[str, list[np.ndarray]]
    boxes: np.ndarray


def parse_ground_truth(raw, source, kinds):
    """Checks ground truth as read from a file.

    Args:
        raw: Dict with `imlist`, `qimlist` and `gnd` (per query a dict with `kinds` and `bbx`), and
            maybe `qidx`; keys and names may be bytes.
        source: The file, for messages.
        kinds: The lists each query must have, such as `("ok", "junk")`.

    Raises:
        UserError: If something is missing, of the wrong type, listed twice or out of range. The
            message names the query and the image.
    """
    raw = _text_keys(raw, source, "the file")
    names = _checked_names(raw, "imlist", source)
    query_names = _checked_names(raw, "qimlist", source)
    check_unlike(names, source)
    if not query_names:
        raise UserError(f"{source}: no queries in it; fetch the ground truth again")
    entries = raw.get("gnd")
    if not isinstance(entries, list | tuple) or len(entries) != len(query_names):
        raise UserError(
            f"{source}: 'gnd' must have one entry for each of the {len(query_names)} queries; "
            "fetch the ground truth again"
        )
    lists, boxes = {kind: [] for kind in kinds}, []
    for query, entry in zip(query_names, entries, strict=True):
        entry = _text_keys(entry, source, f"query {query}")
        for kind in kinds:
            lists[kind].append(_rows(entry.get(kind), len(names), f"{source}: query {query}", kind))
        boxes.append(_box(entry.get("bbx"), source, query))
    rows = _query_rows(raw.get("qidx"), names, query_names, source)
    return GroundTruth(source, names, query_names, rows, lists, np.array(boxes))


def check_unlike(names, source):
    """Checks that no image is listed twice.

    Raises:
        UserError: For the first that is.
    """
    seen = {}
    for row, name in enumerate(names):
        if seen.setdefault(stem(name), row) != row:
            raise UserError(
                f"{source}: {name} is listed twice, as images {seen[stem(name)]} and {row}; "
                "fetch the list again"
            )


def check_name(name, source):
    """Checks that `name` is the plain name of a file, and gives it back.

    Raises:
        UserError: If it isn't: it could lead out of the data folder.
    """
    if not name or not name.isprintable() or "/" in name or "\\" in name or name.startswith("."):
        raise UserError(
            f"{source}: {one_line(name)!r} is no plain image name; fetch the list again"
        )
    return name


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _text_keys(mapping, source, what):
    if not isinstance(mapping, dict):
        raise UserError(f"{source}: {what} must hold a dict; fetch the ground truth again")
    return {_text(key): value for key, value in mapping.items()}


def _checked_names(raw, key, source):
    names = raw.get(key)
    if not isinstance(names, list | tuple):
        raise UserError(f"{source}: no list {key!r} in it; fetch the ground truth again")
    names = [_text(name) for name in names]
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"{source}: {key!r} must hold names only; fetch the ground truth again")
    return [check_name(name, source) for name in names]


def _rows(values, count, query, kind):
    if not isinstance(values, list | tuple | set | frozenset):
        raise UserError(f"{query} has no list {kind!r}; fetch the ground truth again")
    for value in values:
        if type(value) is not int:
            raise UserError(
                f"{query} has {type(value).__name__} in {kind!r}, which must hold image "
                "numbers; fetch the ground truth again"
            )
        if not 0 <= value < count:
            raise UserError(
                f"{query} lists image {value} in {kind!r}, and there are images 0 to {count - 1}; "
                "fetch the ground truth again"
            )
    return np.array(sorted(set(values)), np.int64)


def _box(values, source, query):
    numbers = isinstance(values, list | tuple) and len(values) == 4
    if not numbers or not all(type(v) in (int, float) and np.isfinite(v) for v in values):
        raise UserError(
            f"{source}: query {query} has no box ('bbx': xmin, ymin, xmax, ymax in pixels); "
            "fetch the ground truth again"
        )
    return [float(value) for value in values]


def _query_rows(stored, names, query_names, source):
    by_name = {stem(name): row for row, name in enumerate(names)}
    rows = [by_name.get(stem(name), -1) for name in query_names]
    if stored is None:
        return np.array(rows, np.int64)
    if not isinstance(stored, list | tuple) or len(stored) != len(rows):
        raise UserError(f"{source}: 'qidx' must have a row for each query; fetch it again")
    for query, row, claimed in zip(query_names, rows, stored, strict=True):
        if type(claimed) is not int or claimed != row:
            where = f"image {row}" if row >= 0 else "not in the image list"
            # Anything else is not printed: it may be nested without end.
            says = claimed if isinstance(claimed, int | float) else type(claimed).__name__
            raise UserError(
                f"{source}: query {query} is {where}, and 'qidx' says {says}; fetch the ground "
                "truth again"
            )
    return np.array(rows, np.int64)
