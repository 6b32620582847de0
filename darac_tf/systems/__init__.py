"""The systems of the papers' tables as presets: one readable file of settings each.

A preset is data: what `train.py` and `eval.py` take as flags, under the same names, in a table
each. Flags that are given win over it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from darac_tf.errors import UserError

_FOLDER = Path(__file__).parent


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
