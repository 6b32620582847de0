"""The three files of a study: a picture, a Markdown table, and all numbers with their settings."""

import json
from pathlib import Path

from darac_tf.files import atomic_path
from darac_tf.reports.environment import environment
from studies.figures import save_png


def write_study(folder, name, figure, page, results, settings):
    """Writes `name.png`, `name.md` and `name.json`, each as a whole or not at all.

    Args:
        folder: Where to write; it is created.
        name: Of the study.
        figure: Matplotlib figure.
        page: Markdown text.
        results: What was measured: lists and dictionaries of numbers, NumPy's too, and text.
        settings: Dictionary of all that it was measured with.

    Raises:
        UserError: If the folder can't be written to.
        ValueError: If a number is not finite, which JSON does not have.
    """
    folder = Path(folder)
    content = {"settings": settings, "environment": environment(), "results": results}
    text = json.dumps(content, indent=2, allow_nan=False, default=lambda value: value.tolist())
    save_png(figure, folder / f"{name}.png")
    for ending, written in (("md", page), ("json", text)):
        with atomic_path(folder / f"{name}.{ending}") as temporary:
            temporary.write_text(written.rstrip("\n") + "\n", encoding="utf-8")
