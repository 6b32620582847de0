"""Ground truth in the form of `gnd_*.pkl`, checked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.image_files import stem
from darac_tf.errors import UserError
from darac_tf.unpickling import one_line


@dataclass(frozen=True)
class GroundTruth:
    """What is right for each query, by row in a list of image names."""

    source: str  # the file or folder that it is from
    names: list[str]  # of the N database images
    query_names: list[str]  # of the Q query images
    query_rows: np.ndarray  # int64 `(Q,)`, their rows in `names`, -1 where one isn't there
    lists: dict[str, list[np.ndarray]]  # by relevance, int64 rows, ascending, none twice, `(Q,)`
    boxes: np.ndarray  # float64 `(Q, 4)`: `xmin, ymin, xmax, ymax` in pixels


def parse_ground_truth(raw, source, kinds):
    """Checks ground truth as read from a file, and gives it as `GroundTruth`.

    `raw` is a dict with `imlist`, `qimlist` and `gnd` (per query a dict with `kinds` and `bbx`),
    and maybe `qidx`; keys and names may be bytes. `source` is the file, for messages, and `kinds`
    are the lists each query must have, such as `("ok", "junk")`. `UserError` if something is
    missing, of the wrong type, listed twice or out of range; it names the query and the image.
    """
    raw = _text_keys(raw, source, "the file")
    names, query_names = (_checked_names(raw, key, source) for key in ("imlist", "qimlist"))
    check_unlike(names, source)
    if not query_names:
        raise damaged(source, "no queries in it")
    entries = raw.get("gnd")
    if not isinstance(entries, list | tuple) or len(entries) != len(query_names):
        raise damaged(
            source, f"'gnd' must have one entry for each of the {len(query_names)} queries"
        )
    lists, boxes = {kind: [] for kind in kinds}, []
    for query, entry in zip(query_names, entries, strict=True):
        entry = _text_keys(entry, source, f"query {query}")
        for kind in kinds:
            lists[kind].append(_rows(entry.get(kind), len(names), source, f"query {query}", kind))
        boxes.append(_box(entry.get("bbx"), source, query))
    rows = _query_rows(raw.get("qidx"), names, query_names, source)
    return GroundTruth(source, names, query_names, rows, lists, np.array(boxes))


def damaged(source, what):
    """The `UserError` that ground truth must be fetched again, as `what` is wrong with it."""
    return UserError(f"{source}: {what}; fetch the ground truth again")


def read_lines(path, source, remedy):
    """The lines of a text file; a `UserError` from `source` to `remedy` if it can't be read."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source}: can't be read ({error}); {remedy}") from error


def check_unlike(names, source):
    """Raises a `UserError` for the first image that is listed twice."""
    seen = {}
    for row, name in enumerate(names):
        first = seen.setdefault(stem(name), row)
        if first != row:
            raise damaged(source, f"{name} is listed twice, as images {first} and {row}")


def check_name(name, source):
    """Gives back the plain name of a file; others are a `UserError`: they could lead elsewhere."""
    if not name or not name.isprintable() or "/" in name or "\\" in name or name.startswith("."):
        raise damaged(source, f"{one_line(name)!r} is no plain image name")
    return name


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _text_keys(mapping, source, what):
    if not isinstance(mapping, dict):
        raise damaged(source, f"{what} must hold a dict")
    return {_text(key): value for key, value in mapping.items()}


def _checked_names(raw, key, source):
    names = raw.get(key)
    if not isinstance(names, list | tuple):
        raise damaged(source, f"no list {key!r} in it")
    names = [_text(name) for name in names]
    if not all(isinstance(name, str) for name in names):
        raise damaged(source, f"{key!r} must hold names only")
    return [check_name(name, source) for name in names]


def _rows(values, count, source, query, kind):
    if not isinstance(values, list | tuple | set | frozenset):
        raise damaged(source, f"{query} has no list {kind!r}")
    for value in values:
        if type(value) is not int:
            what = f"{query} has {type(value).__name__} in {kind!r}, which must hold image numbers"
            raise damaged(source, what)
        if not 0 <= value < count:
            what = f"{query} lists image {value} in {kind!r}, and there are images 0 to {count - 1}"
            raise damaged(source, what)
    return np.array(sorted(set(values)), np.int64)


def _box(values, source, query):
    numbers = isinstance(values, list | tuple) and len(values) == 4
    if not numbers or not all(type(v) in (int, float) and np.isfinite(v) for v in values):
        what = f"query {query} has no box ('bbx': xmin, ymin, xmax, ymax in pixels)"
        raise damaged(source, what)
    return [float(value) for value in values]


def _query_rows(stored, names, query_names, source):
    by_name = {stem(name): row for row, name in enumerate(names)}
    rows = [by_name.get(stem(name), -1) for name in query_names]
    if stored is None:
        return np.array(rows, np.int64)
    if not isinstance(stored, list | tuple) or len(stored) != len(rows):
        raise damaged(source, "'qidx' must have a row for each query")
    for query, row, claimed in zip(query_names, rows, stored, strict=True):
        if type(claimed) is not int or claimed != row:
            where = f"image {row}" if row >= 0 else "not in the image list"
            # Anything else is not printed: it may be nested without end.
            says = claimed if isinstance(claimed, int | float) else type(claimed).__name__
            raise damaged(source, f"query {query} is {where}, and 'qidx' says {says}")
    return np.array(rows, np.int64)
