"""Reports of an evaluation: a table to read, and a JSON file with all that made it."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np

from darac_tf.files import atomic_path
from darac_tf.reports import markdown
from darac_tf.reports.environment import environment
from darac_tf.reports.markdown import ABSENT, escaped, is_missing, percent

# The page names this many images that were left out; the JSON file names all.
_LISTED_IMAGES = 50


@dataclasses.dataclass(frozen=True)
class Result:
    """One row of the table: a descriptor measured on a data set.

    Attributes:
        descriptor: Its name, such as "DARAC".
        dimension: Length of the vectors that were compared.
        resolutions: What was combined: ints for long sides in pixels, floats for factors of the
            stored size (shown as "x0.5"), strings as they are.
        whitening: What the whitening was learned on, or None without.
        dataset: Name of the data set.
        scores: Means over the queries in [0, 1], by the name of the metric, which has the protocol:
            "mAP (Oxford)", "mAP (revisited, Medium)".
        per_query: A dict for each query: "path" and "ap" (NaN or None where the query has no
            positive and is left out of the means), or for a protocol of several settings
            "ap (Easy)" and the like; and what else shall be kept. All have the same settings.
        protocol: How rankings were scored, such as "leave-one-out, plain AP".
        database_size: Images that were searched.
        notes: Sentences on what else the scores depend on: orientation, query cropping, a whitening
            that was fitted on the test set.
        skipped: A dict for each image that could not be read and is ranked last: "path" and
            "reason".
        post_processing: Such as "alpha-QE (alpha=3, k=10)", or None without.
        combination: How the resolutions were combined, such as "mean", or None for one alone.
    """

    descriptor: str
    dimension: int
    resolutions: tuple[int | float | str, ...]
    whitening: str | None
    dataset: str
    scores: dict[str, float]
    per_query: list[dict]
    protocol: str
    database_size: int
    notes: tuple[str, ...] = ()
    skipped: list[dict] = dataclasses.field(default_factory=list)
    post_processing: str | None = None
    combination: str | None = None


def write_report(folder, results, settings):
    """Writes `report.md` and `report.json`, each as a whole or not at all.

    Args:
        folder: Where to write; it is created, and earlier reports in it are replaced.
        results: Non-empty list of `Result`.
        settings: Dict of all that the evaluation was run with. NumPy values and paths are
            converted; NaN and infinity become null, as JSON has neither.

    Raises:
        UserError: If the folder can't be written to.
        ValueError: If there are no results.
        TypeError: If a setting can't be written as JSON.
    """
    folder = Path(folder)
    rows = [dataclasses.asdict(result) for result in results]
    content = _strict({"settings": settings, "environment": environment(), "results": rows})
    # ASCII, because file names may hold bytes that are not UTF-8.
    text = json.dumps(content, indent=2, allow_nan=False)
    page = _page(results, content["settings"], content["environment"])
    with atomic_path(folder / "report.json") as temporary:
        temporary.write_text(text + "\n", encoding="ascii")
    with atomic_path(folder / "report.md") as temporary:
        temporary.write_text(page, encoding="utf-8")


def markdown_table(results):
    """One Markdown table: a row for each `Result`, a column for each metric, scores in percent.

    Columns for how resolutions were combined and for post-processing are there when a result has
    one, and a metric that a result lacks is a dash. It has no newline at the end. `ValueError` if
    there are no results.
    """
    if not results:
        raise ValueError("A report needs at least one result. Received: none")
    metrics = list(dict.fromkeys(name for result in results for name in result.scores))
    columns = {
        "Descriptor": [result.descriptor for result in results],
        "Dim.": [str(result.dimension) for result in results],
        "Resolutions": ["+".join(map(resolution_text, result.resolutions)) for result in results],
        "Combined by": [result.combination for result in results],
        "Whitening": [result.whitening or ABSENT for result in results],
        "Post-processing": [result.post_processing for result in results],
        "Data set": [result.dataset for result in results],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    rows = [
        [*(cell or ABSENT for cell in cells), *(percent(result.scores.get(m)) for m in metrics)]
        for result, *cells in zip(results, *shown.values(), strict=True)
    ]
    header = [*shown, *metrics]
    return markdown.table(header, rows, [name in ("Dim.", *metrics) for name in header])


def ap_settings(per_query):
    """The keys of `Result.per_query` that are average precisions, one for each setting.

    >>> ap_settings([{"path": "a.jpg", "ap (Easy)": 1.0, "ap (Hard)": None}])
    ['ap (Easy)', 'ap (Hard)']

    "ap" for a protocol of one setting, else "ap (NAME)" for each. Should queries have both, "ap"
    stands for one of the others and is not listed.
    """
    keys = dict.fromkeys(key for query in per_query for key in query)
    return [key for key in keys if key.startswith("ap (")] or [key for key in keys if key == "ap"]


def resolution_text(resolution):
    """How a member of `Result.resolutions` is shown.

    >>> resolution_text(299), resolution_text(0.5), resolution_text("as stored")
    ('299', 'x0.5', 'as stored')
    """
    return f"x{resolution:g}" if isinstance(resolution, float) else str(resolution)


def _page(results, settings, versions):
    parts = [
        "# Evaluation",
        "\n".join(dict.fromkeys(_data_set_line(result) for result in results)),
        markdown_table(results),
        *_notes(results),
        *_skipped(results),
        f"## Environment\n\n{markdown.listing(versions)}",
    ]
    if settings:
        parts.append(f"## Settings\n\n{markdown.listing(settings)}")
    return "\n\n".join(parts) + "\n"


def _data_set_line(result):
    """A list item for a data set and protocol, with its counts."""
    return escaped(
        f"- {result.dataset}: {result.protocol}; {result.database_size} database images, "
        f"{len(result.per_query)} queries{_left_out(result.per_query)}. Scores in %."
    )


def _left_out(per_query):
    counts = {
        key.removeprefix("ap").strip(" ()"): sum(is_missing(query[key]) for query in per_query)
        for key in ap_settings(per_query)
    }
    named = ", ".join(f"{name}: {count}".removeprefix(": ") for name, count in counts.items())
    return f" ({named} without a positive, left out of the means)" if any(counts.values()) else ""


def _notes(results):
    found = (f"- {result.dataset}: {note}" for result in results for note in result.notes)
    lines = dict.fromkeys(map(escaped, found))
    return ["## Notes", "\n".join(lines)] if lines else []


def _skipped(results):
    found = ((r.dataset, image["path"], image["reason"]) for r in results for image in r.skipped)
    lines = list(dict.fromkeys(escaped(f"- {': '.join(image)}") for image in found))
    if not lines:
        return []
    head = f"Left out and ranked last: {len(lines)}."
    if len(lines) > _LISTED_IMAGES:
        more = f"- and {len(lines) - _LISTED_IMAGES} more, named in report.json"
        lines[_LISTED_IMAGES:] = [more]
    return ["## Images that could not be read", head, "\n".join(lines)]


def _strict(value):
    """Converts to what strict JSON has; leaves the rest for `json` to refuse."""
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _strict(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
