"""Measures each row of a table on each data set; what can't be measured says why."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.evaluation import options
from darac_tf.evaluation.evaluator import evaluate
from darac_tf.evaluation.paper_tables.rows import load_rows
from darac_tf.files import atomic_path
from darac_tf.models.descriptor import CONFIG_FILE
from darac_tf.reports import markdown
from darac_tf.reports.report import Result, write_report

# The paper's data sets, as it calls them.
_SHOWN = {"oxford5k": "Oxford", "paris6k": "Paris", "holidays": "Holidays"}


@dataclass(frozen=True)
class Cell:
    """A row on a data set: what was measured, or why not."""

    result: Result | None = None
    reason: str | None = None


def measure_table(name, given):
    """Measures a table of the paper, as far as data and runs are there.

    Args:
        name: `"ablation"` or `"comparison"`.
        given: Dictionary of the options of an evaluation; `table_sets`, `data_dir`, `runs_dir` and
            `backbone` say where everything is. Trained rows are run directories in `runs_dir`;
            whitenings are fitted on the images that the row was trained on, unless
            `whiten_data_dir` names others.

    Returns:
        Markdown: the table with the paper's figures beside the measured ones, then a line for each
        row that something is missing of. With `out`, table.md and the report of all rows are
        written there.

    Raises:
        UserError: If no row can be measured.
    """
    sets, rows = _sets(given), load_rows(name)
    with tempfile.TemporaryDirectory() as scratch:
        # Rows of one run share descriptors.
        shared = given | {"cache_dir": given["cache_dir"] or scratch}
        loaded = {}
        cells = [[_cell(row, kind, path, shared, loaded) for kind, path in sets] for row in rows]
    missing = [
        f"- {row.label} ({row.training}) on {kind}: {cell.reason}"
        for row, line in zip(rows, cells, strict=True)
        for (kind, _), cell in zip(sets, line, strict=True)
        if cell.reason
    ]
    results = [cell.result for line in cells for cell in line if cell.result]
    if not results:
        raise UserError("no row of the table can be measured:\n" + "\n".join(missing))
    text = _table(rows, sets, cells, given)
    if missing:
        text += "\n\nNot measured:\n\n" + "\n".join(dict.fromkeys(missing))
    if given["out"]:
        with atomic_path(Path(given["out"]) / "table.md") as path:
            path.write_text(text + "\n")
        write_report(given["out"], results, given)
    return text


def _sets(given):
    """`(kind, path)` of each data set."""
    found = []
    for item in given["table_sets"]:
        kind, colon, path = item.partition(":")
        if not colon:
            if not given["data_dir"]:
                raise UserError("--table needs --data_dir, with a folder for each of --table_sets")
            path = str(Path(given["data_dir"]) / kind)
        found.append((kind, path))
    return found


def _cell(row, kind, path, given, loaded):
    """Measures a row; `loaded` keeps its sources, which the rows after it may share."""
    try:
        given = given | row.settings() | _descriptor(row, given)
        given |= {"dataset": kind, "data_dir": path} | _whitening(row, given)
        task, settings = options.read_task(given), options.read_settings(given)
        key = (given["matching"], *given["descriptors"])
        if key not in loaded:
            loaded.clear()
            loaded[key] = options.read_sources(given, settings)
        *_, last = evaluate(loaded[key], task, settings)
    except UserError as error:
        return Cell(reason=str(error))
    return Cell(result=last.result)


def _descriptor(row, given):
    if row.run is None:
        return {"descriptors": [f"{given['backbone']}+{row.pooling}"]}
    if not given["runs_dir"]:
        raise UserError(f"needs the run {row.run}: train it, and name its folder with --runs_dir")
    folder = Path(given["runs_dir"]) / row.run
    if not folder.is_dir():
        system = row.system or row.run.partition("-")[0]
        raise UserError(
            f"there is no {folder}: train it with train.py --system={system} --run_dir={folder}"
        )
    return {"descriptors": [str(folder)]}


def _whitening(row, given):
    if not row.whiten:
        return {"whitening": None, "whiten_data_dir": None, "whiten_dim": None}
    if given["whiten_data_dir"]:
        return {}
    listed = Path(given["runs_dir"]) / row.run / "train.csv"
    return {"whiten_dataset": "csv", "whiten_data_dir": str(listed)}


def _table(rows, sets, cells, given):
    header, numeric = ["system", "trained on (paper)", "trained on (here)", "size"], [False] * 4
    for kind, path in sets:
        name = _SHOWN.get(kind, Path(path).parent.name if kind == "csv" else Path(path).name)
        header += [f"{name} (paper)", f"{name} (here)"] if kind in _SHOWN else [name]
        numeric += [True] * (1 + (kind in _SHOWN))
    lines = []
    for row, line in zip(rows, cells, strict=True):
        resolutions = next((cell.result.resolutions for cell in line if cell.result), None)
        size = "+".join(resolutions) if resolutions else row.settings()["resolutions"][0]
        texts = [row.label, row.training, _trained_on(row, given), size]
        for (kind, _), cell in zip(sets, line, strict=True):
            if kind in _SHOWN:
                texts.append(f"{row.paper[kind]:.1f}" if kind in row.paper else markdown.ABSENT)
            texts.append(_score(cell.result))
        lines.append(texts)
    return markdown.table(header, lines, numeric)


def _score(result):
    if result is None:
        return markdown.ABSENT
    return markdown.percent(next(iter(result.scores.values())))


def _trained_on(row, given):
    """The data set of a run, which need not be the paper's."""
    file = Path(given["runs_dir"] or "") / (row.run or "") / CONFIG_FILE
    if row.run is None or not file.is_file():
        return markdown.ABSENT if row.run else Path(given["backbone"]).stem
    config = json.loads(file.read_text())
    data_dir = Path(config["data_dir"] or config["dataset"])
    return data_dir.parent.name if data_dir.suffix == ".csv" else data_dir.name
