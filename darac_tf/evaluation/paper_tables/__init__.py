"""The paper's tables, measured; what can't be measured says why.

Rows are data, in the files beside this one: what is measured, and the paper's figures.
"""

import tempfile
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.evaluation import options
from darac_tf.evaluation.evaluator import evaluate
from darac_tf.evaluation.paper_tables.runs import differences, settings_of
from darac_tf.files import atomic_path
from darac_tf.reports import markdown
from darac_tf.reports.report import Result, write_report
from darac_tf.reports.report_files import remove_report
from darac_tf.systems import load_system
from darac_tf.systems.published import PUBLISHED_FILE, published_settings, read_published

# Of a training set: more change little, and take days on a CPU.
_WHITEN_IMAGES = 20_000
# Training sets whose pairs a whitening is learned from; a CSV file has classes only.
_PAIRED = ("sfm_30k", "sfm_120k")
# The paper's data sets, as it calls them.
_SHOWN = {"oxford5k": "Oxford", "paris6k": "Paris", "holidays": "Holidays"}


@dataclass(frozen=True)
class Row:
    """One row."""

    label: str  # The system, as the paper calls it.
    training: str  # The paper's training set.
    paper: dict[str, float] = field(default_factory=dict)  # The paper's mAP in %, by data set.
    size: str | None = None  # Resolutions, where no preset says them.
    pooling: str | None = None  # Of an untrained network, where there is no `run`.
    run: str | None = None  # Name of the run directory, or None.
    system: str | None = None  # Preset of the evaluation, or None.
    whiten: bool = False  # Whether the row is whitened.
    # Of a run that is converted: how its authors measure it; of others None.
    published: dict | None = None

    def settings(self):
        """Settings of an evaluation that the row fixes."""
        preset = load_system(self.system).eval if self.system else {}
        preset |= self.published or {}
        return preset | ({"resolutions": [self.size]} if self.size else {})


def load_rows(name):
    """The rows of one of `choices.TABLES`."""
    text = (Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")
    return [Row(**row) for row in tomllib.loads(text)["rows"]]


def with_published(rows, runs_dir):
    """The rows, and after that of its system one for each converted run in a folder."""
    folders = sorted(path.parent for path in Path(runs_dir).glob(f"*/{PUBLISHED_FILE}"))
    facts = {folder: read_published(folder) for folder in folders}
    found = []
    for row in rows:
        found.append(row)
        for folder, each in facts.items():
            if row.run and each["system"] == row.system:
                own = published_settings(folder, each)
                is_whitened = "whitening" in own
                found.append(replace(row, run=folder.name, whiten=is_whitened, published=own))
    return found


def measure_table(config):
    """Measures a table of the paper, as far as data and runs are there.

    In the `EvalConfig`, `table` names it; `table_sets`, `data_dir`, `runs_dir` and `backbone` say
    where everything is. Trained rows are run directories in `runs_dir`; whitenings are fitted on
    20,000 of the images that the row was trained on, unless `whiten_data_dir` or `whiten_images`
    say otherwise; runs there that are converted have rows of their own, as published. Holidays is
    measured upright, by EXIF or the `rotation_list`, unless `orientation` says otherwise; other
    benchmarks as stored.

    Returns:
        Markdown: the table with the paper's figures beside the measured ones, then a line for each
        row that something is missing of. With `out`, table.md and the report of all rows are
        written there.

    Raises:
        UserError: If no row can be measured, or a run is not what the row says and
            `allow_other_runs` is off; before anything is described.
    """
    sets, rows = _sets(config), load_rows(config.table)
    if config.runs_dir:
        rows = with_published(rows, config.runs_dir)
    others = _check_runs(rows, config)
    with tempfile.TemporaryDirectory() as scratch:
        # Rows of one run share descriptors.
        shared = replace(config, cache_dir=config.cache_dir or scratch)
        loaded = {}
        cells = [[_cell(row, kind, path, shared, loaded) for kind, path in sets] for row in rows]
    missing = [
        f"{row.label} ({row.training}) on {kind}: {cell}"
        for row, line in zip(rows, cells, strict=True)
        for (kind, _), cell in zip(sets, line, strict=True)
        if isinstance(cell, str)
    ]
    results = [cell for line in cells for cell in line if isinstance(cell, Result)]
    if not results:
        raise UserError(f"no row of the table can be measured: {'; '.join(missing)}")
    text = _table(rows, sets, cells, config)
    if others:
        text += "\n\nRuns that are not the rows':\n\n" + "\n".join(f"- {each}" for each in others)
    if missing:
        text += "\n\nNot measured:\n\n" + "\n".join(f"- {each}" for each in dict.fromkeys(missing))
    if config.out:
        remove_report(config.out, config.whitening)
        with atomic_path(Path(config.out) / "table.md") as path:
            path.write_text(text + "\n", encoding="utf-8")
        write_report(config.out, results, asdict(config))
    return text


def _sets(config):
    """`(kind, path)` of each data set."""
    found = []
    for item in config.table_sets:
        kind, colon, path = item.partition(":")
        if not colon:
            if not config.data_dir:
                raise UserError("--table needs --data_dir, with a folder for each of --table_sets")
            path = str(Path(config.data_dir) / kind)
        found.append((kind, path))
    is_listed = config.orientation == "list" or config.rotation_list
    if is_listed and "holidays" not in dict(found):
        raise UserError("--orientation=list and --rotation_list are for holidays in --table_sets")
    return found


def _check_runs(rows, config):
    """A sentence for each run that is there and is not its row's; refuses them unless allowed."""
    runs = [row.run for row in rows if row.run and row.published is None]
    folders = {run: Path(config.runs_dir or "") / run for run in runs}
    there = {run: folder for run, folder in folders.items() if config.runs_dir and folder.is_dir()}
    found = {folder: differences(folder, run) for run, folder in there.items()}
    others = [f"{folder}: {'; '.join(each)}" for folder, each in found.items() if each]
    if others and not config.allow_other_runs:
        raise UserError(
            f"not the runs of the table's rows (--allow_other_runs goes on): {' | '.join(others)}"
        )
    return others


def _cell(row, kind, path, config, loaded):
    """The `Result` of a row, or why there is none.

    `loaded` keeps its sources, which the rows after it may share.
    """
    try:
        of_row = row.settings() | _descriptor(row, config) | _whitening(row, config)
        if kind != "holidays":
            how = config.orientation if config.orientation == "stored" else None
            of_row |= {"orientation": how, "rotation_list": None}
        elif config.orientation is None:
            of_row["orientation"] = "list" if config.rotation_list else "upright"
        config = replace(config, dataset=kind, data_dir=path, **of_row)
        task, settings = options.read_task(config), options.read_settings(config)
        key = (config.matching, *config.descriptors)
        if key not in loaded:
            loaded.clear()
            loaded[key] = options.read_sources(config, settings)
        *_, last = evaluate(loaded[key], task, settings)
    except UserError as error:
        return str(error)
    return last.result


def _descriptor(row, config):
    if row.run is None:
        return {"descriptors": [f"{config.backbone}+{row.pooling}"]}
    if not config.runs_dir:
        raise UserError(f"needs the run {row.run}: train it, and name its folder with --runs_dir")
    folder = Path(config.runs_dir) / row.run
    if not folder.is_dir():
        raise UserError(
            f"there is no {folder}: train it with train.py --config={row.run} --run_dir={folder} "
            "(docs/tables.md)"
        )
    return {"descriptors": [str(folder)]}


def _whitening(row, config):
    if not row.whiten:
        return dict.fromkeys(("whitening", "whiten_data_dir", "whiten_dim", "whiten_images"))
    if config.whitening:
        return {"whitening": config.whitening}
    found = {"whiten_images": config.whiten_images or _WHITEN_IMAGES}
    if config.whiten_data_dir:
        return found | {"whitening": None}
    if row.published is not None:
        return dict.fromkeys(("whiten_dim", "whiten_images", "whiten_split"))
    folder = Path(config.runs_dir) / row.run
    trained = settings_of(folder)
    if trained["dataset"] in _PAIRED:
        names = ("dataset", "data_dir", "split")
        return found | {f"whiten_{name}": trained[name] for name in names}
    return found | {"whiten_dataset": "csv", "whiten_data_dir": str(folder / "train.csv")}


def _table(rows, sets, cells, config):
    header, numeric = ["system", "trained on (paper)", "trained on (here)", "size"], [False] * 4
    for kind, path in sets:
        place = Path(path).resolve()
        name = _SHOWN.get(kind, place.parent.name if kind == "csv" else place.name)
        header += [f"{name} (paper)", f"{name} (here)"] if kind in _SHOWN else [name]
        numeric += [True] * (1 + (kind in _SHOWN))
    lines = []
    for row, line in zip(rows, cells, strict=True):
        results = (cell for cell in line if isinstance(cell, Result))
        wanted = row.settings()["resolutions"][0]
        size = next(("+".join(result.resolutions) for result in results), wanted)
        texts = [row.label, row.training, _trained_on(row, config), size]
        for (kind, _), cell in zip(sets, line, strict=True):
            if kind in _SHOWN:
                texts.append(f"{row.paper[kind]:.1f}" if kind in row.paper else markdown.ABSENT)
            score = None if isinstance(cell, str) else next(iter(cell.scores.values()))
            texts.append(markdown.percent(score))
        lines.append(texts)
    return markdown.table(header, lines, numeric)


def _trained_on(row, config):
    """The data set of a run, which need not be the paper's."""
    folder = Path(config.runs_dir or "") / (row.run or "")
    if row.run is None or not config.runs_dir or not folder.is_dir():
        return markdown.ABSENT if row.run else Path(config.backbone).stem
    if row.published is not None:
        return "as published"
    trained = settings_of(folder)
    data_dir = Path(trained["data_dir"] or trained["dataset"])
    return data_dir.parent.name if data_dir.suffix == ".csv" else data_dir.name
