"""The systems of the papers' tables as presets: one readable file of settings each.

A preset is data: what `train.py` and `eval.py` take as flags, under the same names, in a table
each. `runs` has the training runs of the tables' rows, with their data and steps, and the runs that
these begin with. Flags that are given win over it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from darac_tf.errors import UserError

_FOLDER = Path(__file__).parent
RUNS = _FOLDER / "runs"


@dataclass(frozen=True)
class System:
    """One preset."""

    name: str  # As in `--system=NAME`.
    title: str
    source: str  # The paper.
    train: dict  # Settings of train.py.
    eval: dict  # Settings of eval.py.


def system_names():
    """Names of all presets, sorted."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def load_system(name):
    """Reads a preset; `UserError` if there is none of that name."""
    if name not in system_names():
        raise UserError(f"--system={name}: choose from {', '.join(system_names())}")
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return System(name=name, **tomllib.loads(text))


def run_names():
    """Names of all runs, sorted."""
    return sorted(file.stem for file in RUNS.glob("*.toml"))


def load_run(name):
    """Settings of train.py of one of `run_names`, with those of its system below."""
    settings = tomllib.loads((RUNS / f"{name}.toml").read_text(encoding="utf-8"))
    system = settings.pop("system", None)
    return (load_system(system).train if system else {}) | settings
