"""What the studies share: plots with labels beside lines, and the files that a study writes."""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import isotonic_regression

from darac_tf.files import atomic_path
from darac_tf.reports.environment import environment
from darac_tf.reports.figures import save_png
from darac_tf.reports.glyphs import drawable


def spread(values, gap):
    """Moves numbers as little as possible, in least squares, until they are `gap` apart.

    With y sorted: minimises `sum_i (z_i - y_i)^2` with `z_{i+1} - z_i >= gap`, which is isotonic
    regression of `y_i - i * gap` (Barlow et al., 1972).

    >>> spread([0.0, 0.0, 5.0], 1.0).tolist()
    [-0.5, 0.5, 5.0]

    Args:
        values: `(n,)` numbers; equal ones keep their order.
        gap: Smallest distance between neighbours, at least 0.

    Returns:
        float64 `(n,)`, in the order of `values`.

    Raises:
        ValueError: If `gap` is negative.
    """
    if gap < 0:
        raise ValueError(f"`gap` must be at least 0. Received: {gap}")
    values = np.asarray(values, np.float64)
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    moved = np.empty_like(values)
    if len(values):
        moved[order] = isotonic_regression(values[order] - steps).x + steps
    return moved


def label_ends(axes, x, values, labels, colors):
    """Writes labels beside the right ends of lines, apart from each other.

    Args:
        axes: Matplotlib axes, whose limits are final.
        x: Where the lines end.
        values: `(n,)`, where each line ends.
        labels: `n` strings.
        colors: `n` colours.
    """
    low, high = axes.get_ylim()
    places = spread(values, 0.045 * (high - low))
    for value, place, label, color in zip(values, places, labels, colors, strict=True):
        axes.annotate(
            drawable(label),
            (x, value),
            xytext=(1.03, (place - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=color,
            parse_math=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.5, "shrinkA": 0, "shrinkB": 3},
        )


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
