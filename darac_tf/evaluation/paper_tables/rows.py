"""Rows of the paper's tables: what is measured, and the paper's figures."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from darac_tf.systems import load_system

NAMES = ["ablation", "comparison"]


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        label: The system, as the paper calls it.
        training: The paper's training set.
        paper: The paper's mAP in percent, by data set.
        size: Resolutions, where no preset says them.
        pooling: Of an untrained network, where there is no `run`.
        run: Name of the run directory, or None.
        system: Preset of the evaluation, or None.
        whiten: Whether the row is whitened.
    """

    label: str
    training: str
    paper: dict[str, float] = field(default_factory=dict)
    size: str | None = None
    pooling: str | None = None
    run: str | None = None
    system: str | None = None
    whiten: bool = False

    def settings(self):
        """Options of an evaluation that the row fixes."""
        preset = load_system(self.system).eval if self.system else {}
        return preset | ({"resolutions": [self.size]} if self.size else {})


def load_rows(name):
    """The rows of one of `NAMES`."""
    text = (Path(__file__).parent / f"{name}.toml").read_text()
    return [Row(**row) for row in tomllib.loads(text)["rows"]]
