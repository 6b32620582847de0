"""What is printed and kept of a run: the machine, the settings, the table, and all timings."""

import datetime
import json
import os
import shlex
import statistics
import sys
from importlib import metadata
from pathlib import Path

import tensorflow as tf

from benchmarks.peers.table import left_out, ratio_to_base, ratios_to_base, table
from darac_tf.errors import UserError
from darac_tf.reports.environment import environment

_PEERS = ("torch", "torchvision")
_IN_HEADER = ("tensorflow", "keras", "numpy", "openvino", "faiss", *_PEERS, "darac_git_revision")


def about_machine():
    """Dictionary of `environment`, versions of further peers, TensorFlow's devices, and the load.

    To be asked before anything is measured: the load is what others do on the machine.
    """
    return (
        environment()
        | {name: _version(name) for name in _PEERS}
        | {"devices": [device.name for device in tf.config.list_physical_devices()]}
        | {"load_average": round(os.getloadavg()[0], 2)}
    )


def page(results, about, settings):
    """The Markdown page.

    Args:
        results: List of `contest.Result`.
        about: Dictionary of `about_machine`.
        settings: Dictionary of flag to value.

    Returns:
        Text without a newline at the end.
    """
    header = (
        f"{_machine(about)}. {settings['backbone']}, medians of {settings['repeats']} after one "
        f"that is not counted. {_versions(about)}."
    )
    parts = [header, "\n".join(left_out(results)), table(results)]
    return "\n\n".join(part for part in parts if part)


def write_report(folder, results, about, settings):
    """Writes `table.md` and `report.json` to a folder that does not exist."""
    folder.mkdir()
    (folder / "table.md").write_text(page(results, about, settings) + "\n", encoding="utf-8")
    report = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks.peers", *sys.argv[1:]]),
        "settings": settings,
        "environment": about,
        "tasks": [_as_json(result) for result in results],
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def worse_rows(results, file):
    """Lines on rows whose ratio to the base rose by more than its spread, since a report.json.

    The spread is between the largest and the smallest ratio of a round, here or there. Rows that
    are not in both are left alone.

    Raises:
        UserError: If the file is no report.
    """
    try:
        report = json.loads(Path(file).read_text(encoding="utf-8"))
        before = {task["title"]: task["seconds"] for task in report["tasks"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--against={file} is no report.json of this benchmark") from error
    lines = []
    for result in results:
        for name in result.seconds:
            if name not in before.get(result.title, {}):
                continue
            own, its = (ratios_to_base(x, name) for x in (result.seconds, before[result.title]))
            now, then = map(statistics.median, (own, its))
            if now - then > max(max(own) - min(own), max(its) - min(its)):
                lines.append(f"{result.title}: {name}: {now:.2f}, was {then:.2f}")
    return lines


def _as_json(result):
    ratios = {name: ratio_to_base(result, name) for name in result.seconds}
    return result._asdict() | {"ratios": ratios}


def _machine(about):
    memory = about["memory_bytes"]
    parts = [
        f"{about['cpu_count']} cores of {about['cpu']}",
        "memory unknown" if memory is None else f"{memory / 2**30:.0f} GiB",
        f"TensorFlow's devices: {', '.join(about['devices'])}",
        *about["gpus"],
        f"load before {about['load_average']}",
    ]
    return "; ".join(parts)


def _versions(about):
    return ", ".join(f"{name} {about[name]}" for name in _IN_HEADER if about[name] is not None)


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
