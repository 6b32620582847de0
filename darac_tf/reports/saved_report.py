"""Reads rows of a report.json, which may come from anyone, and checks what they hold."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from darac_tf.errors import UserError, printable
from darac_tf.reports.report import ap_settings, resolution_text

_OF_A_MODEL = ("descriptor", "dataset", "protocol", "whitening", "combination", "post_processing")


@dataclass(frozen=True)
class SavedResult:
    """What a comparison needs of a row of a report; see `Result` for what is not said here."""

    source: str  # The file and the row, for messages.
    label: str  # Descriptor, resolutions and what was done to them, in one line.
    dataset: str
    protocol: str
    database_size: int
    # Means by the name of the metric, in [0, 1]; None where there is none.
    scores: dict[str, float | None]
    # For each setting of the protocol a dict of query path to average precision in [0, 1]; None for
    # a query without a positive.
    ap: dict[str, dict[str, float | None]]
    notes: tuple[str, ...]
    n_skipped: int  # Images that could not be read.


def read_result(name):
    """Reads one row of a report: `SavedResult`.

    `name` is the path of a report.json, or `PATH#3` for its third row; a file whose name ends so is
    taken as it is. `UserError` if the file can't be read, is no report, has no such row, or has
    several and none is chosen.
    """
    path, row = _split(str(name))
    results = _read(path)
    if row is None and len(results) > 1:
        rows = "; ".join(f"#{i} {_label(result)}" for i, result in enumerate(results, 1))
        raise UserError(f"{path} has {len(results)} rows, choose one as {path}#1: {rows}")
    row = 1 if row is None else row
    if not 1 <= row <= len(results):
        raise UserError(f"{path}#{row}: the report has the rows #1 to #{len(results)} only")
    return _checked(results[row - 1], f"{path}#{row}")


def scores_of_model(path, model_path, resolutions, dimension):
    """Scores of a model at some resolutions and a dimension, such as those of its export.

    Of a report.json of eval.py, and a run directory or `.keras` file as it was named for eval.py;
    folders in front of its name do not count. A non-empty list of dictionaries: "descriptor",
    "dataset", "protocol", "whitening", "combination", "post_processing" and "scores". `UserError`
    if the file is no report, or holds no such row.
    """
    name, shown = Path(model_path).name, "+".join(map(str, resolutions))
    found = [
        {key: row.get(key) for key in _OF_A_MODEL}
        | {"scores": _field(row, "scores", dict, f"{path}#{number}")}
        for number, row in enumerate(_read(path), 1)
        if Path(str(row.get("descriptor"))).name == name
        and row.get("dimension") == dimension
        and _resolutions(row) == shown
    ]
    if not found:
        wanted = f"{name} with {dimension} dimensions at {shown}"
        raise UserError(f"{path} has no row of {wanted}: evaluate it so")
    return found


def _split(name):
    found = re.fullmatch(r"(.+)#([0-9]{1,9})", name, re.DOTALL)
    if found is None or Path(name).is_file():
        return name, None
    return found[1], int(found[2])


def _read(path):
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"{path}: can't be read ({reason}); name a report.json") from error
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is no JSON ({reason}); name a report.json") from error
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or not results:
        raise UserError(f"{path} is no report.json of eval.py: it has no list of results")
    for row, result in enumerate(results, 1):
        if not isinstance(result, dict):
            raise UserError(f"{path} is no report.json of eval.py: #{row}: the row is no object")
    return results


def _refuse_constant(constant):
    raise ValueError(f"{constant} is not JSON")


def _checked(row, source):
    per_query = _field(row, "per_query", list, source)
    if not per_query or not all(isinstance(query, dict) for query in per_query):
        raise UserError(f"{source}: per_query holds no queries; evaluate again with --out")
    settings = ap_settings(per_query)
    if not settings:
        raise UserError(f"{source}: queries have no average precision; evaluate again with --out")
    scores = _field(row, "scores", dict, source)
    notes = _field(row, "notes", list, source, default=[])
    return SavedResult(
        source=source,
        label=_label(row),
        dataset=_field(row, "dataset", str, source),
        protocol=_field(row, "protocol", str, source),
        database_size=_field(row, "database_size", int, source),
        scores={name: _score(scores, name, source) for name in scores},
        ap={setting: _by_path(per_query, setting, source) for setting in settings},
        notes=tuple(note for note in notes if isinstance(note, str)),
        n_skipped=len(_field(row, "skipped", list, source, default=[])),
    )


def _by_path(per_query, setting, source):
    found = {}
    for query in per_query:
        path = _field(query, "path", str, f"{source}: per_query")
        if path in found:
            raise UserError(f"{source}: the query {path!r} is listed twice; evaluate again")
        found[path] = _score(query, setting, f"{source}: query {path!r}")
    return found


def _field(values, name, kind, source, default=None):
    value = values.get(name, default)
    # True is an int in Python, but no number in JSON.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"{source}: {name!r} is missing or no {kind.__name__}; evaluate again")
    return value


def _score(values, name, source):
    """A number in [0, 1], or None, which must be there as null."""
    value = values.get(name, "missing")
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Sums may round to a hair beyond 1.
    if not is_number or not 0 <= value <= 1 + 1e-6:
        raise UserError(f"{source}: {name!r} is no score in [0, 1]; evaluate again")
    return float(value)


def _label(row):
    """What tells rows of one report apart; any JSON may stand in the fields."""
    others = (row.get(name) for name in ("combination", "whitening", "post_processing"))
    parts = [row.get("descriptor"), _resolutions(row), *others]
    return printable(", ".join(str(part)[:100] for part in parts if part))


def _resolutions(row):
    resolutions = row.get("resolutions")
    return "+".join(map(resolution_text, resolutions)) if isinstance(resolutions, list) else None
