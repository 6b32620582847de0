"""The files of an evaluation: for each row of the table, and for all of them."""

import json
import re
from pathlib import Path

import numpy as np

from darac_tf.reports.pictures import draw_rankings
from darac_tf.reports.plots import draw_precision_recall, draw_query_ap, query_curves
from darac_tf.reports.query_rows import pick_queries, query_rows
from darac_tf.reports.ranking_page import write_ranking_page
from darac_tf.reports.report import Result, write_report

# Of larger rankings, curves would take minutes: verdicts are worked out rank by rank.
_LARGEST_CURVE = 20_000_000
_CURVES_A_PICTURE = 8
# Of a row: its whitening, page and picture of queries, per-query AP, page of misses.
_ENDINGS = (".npz", ".html", ".png", "-ap.png", "-misses.html")


def remove_report(folder, whitening=None):
    """Removes the report in a folder, if there is one, with the files of its rows.

    Others stay, and so does a row's `whitening`, the path of one that is in use.
    """
    folder = Path(folder)
    try:
        rows = json.loads((folder / "report.json").read_text(encoding="ascii"))["results"]
        names = [_name(number, Result(**row)) for number, row in enumerate(rows, 1)]
    except (OSError, ValueError, LookupError, TypeError):
        return  # There is none of ours.
    files = {f"{name}{ending}" for name in names for ending in _ENDINGS}
    curves = {path.name for path in folder.glob("precision-recall*.png")}
    kept = Path(whitening or "").resolve()
    for name in files | curves | {"report.md", "report.json"}:
        if (folder / name).resolve() != kept:
            (folder / name).unlink(missing_ok=True)


def write_row(folder, number, measured, pictured_queries, page_queries):
    """Writes the files of one row: whitening, page and picture of queries, per-query AP.

    File names start with `number`, the row's from 1. `measured` is an `evaluator.Measured`, of
    which so many queries at most are in the picture and on the page, 0 for none. `UserError` if a
    file can't be written.
    """
    name = _name(number, measured.result)
    folder, title = Path(folder), _title(measured.result)
    if measured.whitening is not None:
        measured.whitening.save(folder / f"{name}.npz")
    if page_queries:
        rows = query_rows(measured.task, measured.rankings, measured.ap)
        lines = [f"{k}: {100 * v:.2f} %" for k, v in measured.result.scores.items()]
        lines += [f"{measured.task.protocol}.", *measured.result.notes]
        write_ranking_page(folder / f"{name}.html", title, lines, rows, page_queries)
    if pictured_queries:
        chosen = pick_queries(measured.ap, pictured_queries)
        rows = query_rows(measured.task, measured.rankings, measured.ap, chosen, ranks=8)
        draw_rankings(folder / f"{name}.png", rows, title)
    names = [Path(query["path"]).stem for query in measured.result.per_query]
    draw_query_ap(folder / f"{name}-ap.png", title, names, measured.ap)


def write_misses(folder, number, measured, queries=50):
    """Writes the page of queries whose first rank is wrong, the worst first; returns its path.

    None where there are none. The arguments are those of `write_row`; at most so many queries.
    """
    order = np.argsort(measured.ap, kind="stable")
    missed = order[measured.ap[order] < 1]
    if not len(missed):
        return None
    path = Path(folder) / f"{_name(number, measured.result)}-misses.html"
    rows = query_rows(measured.task, measured.rankings, measured.ap, missed[:queries], ranks=8)
    lines = [f"{len(missed)} of {len(order)} have something else at the first rank."]
    write_ranking_page(path, _title(measured.result), lines, rows)
    return path


def write_all(folder, rows, settings):
    """Writes the report of some `Measured`, with all `settings`, and their precision and recall."""
    folder = Path(folder)
    if sum(measured.rankings.rows.size for measured in rows) <= _LARGEST_CURVE:
        _draw_curves(folder, [_curve(measured) for measured in rows], rows[0].result.dataset)
    write_report(folder, [measured.result for measured in rows], settings)


def _draw_curves(folder, curves, title):
    """One picture, or several with as many curves as can be told apart."""
    for start in range(0, len(curves), _CURVES_A_PICTURE):
        number = "" if len(curves) <= _CURVES_A_PICTURE else f"-{start // _CURVES_A_PICTURE + 1}"
        chosen = curves[start : start + _CURVES_A_PICTURE]
        draw_precision_recall(folder / f"precision-recall{number}.png", title, chosen)


def _curve(measured):
    task, rankings = measured.task, enumerate(measured.rankings.rows)
    judged = (
        (task.verdicts(query, ranking[ranking >= 0]), task.n_positives(query))
        for query, ranking in rankings
    )
    return _label(measured.result), query_curves(judged)


def _label(result):
    parts = [result.descriptor, "+".join(map(str, result.resolutions)), result.whitening or ""]
    return ", ".join(part for part in parts if part)


def _title(result):
    name, score = next(iter(result.scores.items()))
    return f"{_label(result)}: {name} {100 * score:.2f} %"


def _name(number, result):
    """What the names of the files of a row begin with."""
    parts = [Path(result.descriptor).resolve().name[:80], *map(str, result.resolutions)]
    parts += ["whitened"] if result.whitening else []
    return f"{number:02d}-" + re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts))
