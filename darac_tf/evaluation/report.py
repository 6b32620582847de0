"""Reports of an evaluation: a table to read, and a JSON file with all that made it."""

import dataclasses
import json
import math
import os
import platform
import subprocess
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from darac_tf.files import atomic_path

_PACKAGE = Path(__file__).resolve().parent.parent
_ABSENT = "-"


@dataclasses.dataclass(frozen=True)
class Result:
    """One row of the table: a descriptor measured on a data set.

    Attributes:
        descriptor: Its name, such as "DARAC".
        dimension: Length of the vectors that were compared.
        resolutions: Sizes in pixels whose descriptors were summed.
        whitening: What the whitening was learned on, or None without.
        dataset: Name of the data set.
        scores: Means over the queries in [0, 1], by the name of the metric.
        per_query: A dict for each query: "path" and "ap" (NaN or None where the query has no
            positive and is left out of the means), and what else shall be kept.
        protocol: How rankings were scored, such as "leave-one-out, plain AP".
        database_size: Images that were searched.
    """

    descriptor: str
    dimension: int
    resolutions: tuple[int, ...]
    whitening: str | None
    dataset: str
    scores: dict[str, float]
    per_query: list[dict]
    protocol: str
    database_size: int


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
    content = {
        "settings": settings,
        "environment": environment(),
        "results": [dataclasses.asdict(result) for result in results],
    }
    # ASCII, because file names may hold bytes that are not UTF-8.
    text = json.dumps(_strict(content), indent=2, allow_nan=False)
    page = f"# Evaluation\n\n{_data_set_lines(results)}\n\n{markdown_table(results)}\n"
    with atomic_path(folder / "report.json") as temporary:
        temporary.write_text(text + "\n", encoding="ascii")
    with atomic_path(folder / "report.md") as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def markdown_table(results):
    """One Markdown table: a row for each result, a column for each metric, scores in percent.

    Args:
        results: Non-empty list of `Result`. A metric that a result lacks is shown as a dash.

    Returns:
        Text without a newline at the end.

    Raises:
        ValueError: If there are no results.
    """
    if not results:
        raise ValueError("A report needs at least one result. Received: none")
    metrics = list(dict.fromkeys(name for result in results for name in result.scores))
    header = ["Descriptor", "Dim.", "Resolutions", "Whitening", "Data set"]
    rows = [
        [
            result.descriptor,
            str(result.dimension),
            "+".join(map(str, result.resolutions)),
            result.whitening or _ABSENT,
            result.dataset,
            *(_percent(result.scores.get(name)) for name in metrics),
        ]
        for result in results
    ]
    numeric = [name in ("Dim.", *metrics) for name in (*header, *metrics)]
    rule = ["---:" if is_numeric else "---" for is_numeric in numeric]
    cells = [[_escaped(cell) for cell in row] for row in ([*header, *metrics], *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))


def environment():
    """What a measurement depends on besides its settings.

    Returns:
        Dict of the versions of Python, TensorFlow, Keras and NumPy, the git revision of this
        package (None where it is not a git checkout), the platform and the number of CPUs.
    """
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "darac_git_revision": git_revision(_PACKAGE),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
    }


def git_revision(folder):
    """The commit that is checked out in a folder.

    Args:
        folder: A folder directly below the root of the checkout. A checkout further up is
            another project's that merely contains this one.

    Returns:
        40 hexadecimal digits, or None without git or a checkout.
    """
    folder = Path(folder).resolve()
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    root, revision = done.stdout.splitlines()
    return revision if Path(root) == folder.parent else None


def _data_set_lines(results):
    """A list item for each data set and protocol, with its counts."""
    return "\n".join(dict.fromkeys(_data_set_line(result) for result in results))


def _data_set_line(result):
    n_unscored = sum(_is_missing(query["ap"]) for query in result.per_query)
    left_out = f" ({n_unscored} without a positive, left out of the means)" if n_unscored else ""
    return (
        f"- {result.dataset}: {result.protocol}; {result.database_size} database images, "
        f"{len(result.per_query)} queries{left_out}. Scores in %."
    )


def _percent(score):
    return _ABSENT if _is_missing(score) else f"{100 * score:.2f}"


def _is_missing(score):
    return score is None or math.isnan(score)


def _escaped(cell):
    return cell.replace("|", "\\|").replace("\n", " ")


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
