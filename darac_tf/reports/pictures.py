"""Pictures of rankings: what a descriptor finds, and what it mistakes."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.reports.glyphs import FAMILIES, drawable
from darac_tf.reports.markdown import is_missing
from darac_tf.reports.thumbnails import thumbnail

# The mark says the same as the frame's colour, for those who can't tell red from green.
_FRAMES = {True: ("#1a9641", "✓"), False: ("#d7191c", "✗"), None: ("#888888", "-")}
_CELL_INCHES, _IMAGE_INCHES = 1.5, 1.2
_LABEL_INCHES = 0.9
_TITLE_INCHES = 0.6
_DPI = 120
_ABSENT = 190  # grey


def draw_rankings(path, rows, title):
    """Draws a PNG with a row a query: the query at left, then its first ranks.

    Right images have a green frame, wrong ones a red one, those that don't count a grey one;
    below each stands its score. Those that can't be read are grey.

    Args:
        path: PNG file to write.
        rows: Non-empty list of `query_rows.QueryRow`. Their ranks may differ in number.
        title: One short line.

    Raises:
        UserError: If the file can't be written.
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError("A picture of rankings needs at least one row. Received: none")
    width = _LABEL_INCHES + (1 + max(len(row.ranks) for row in rows)) * _CELL_INCHES
    height = _TITLE_INCHES + len(rows) * _CELL_INCHES + 0.1
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    # One set of axes, in inches from the upper left: one for each image takes thrice as long.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.text(width / 2, 0.08, drawable(title), ha="center", va="top", **_text(10))
    for number, row in enumerate(rows, 1):
        _draw_row(axes, number, row)
    for column in range(1 + max(len(row.ranks) for row in rows)):
        header = str(column) if column else "query"
        axes.text(_centre(column), _TITLE_INCHES - 0.05, header, ha="center", **_text(8))
    axes.set(xlim=(0, width), ylim=(height, 0))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _text(size):
    return {"fontsize": size, "family": FAMILIES, "parse_math": False}


def _centre(column):
    return _LABEL_INCHES + (column + 0.5) * _CELL_INCHES


def _draw_row(axes, number, row):
    y = _TITLE_INCHES + (number - 0.5) * _CELL_INCHES
    label = "AP -" if is_missing(row.ap) else f"AP {100 * row.ap:.1f} %"
    axes.text(_LABEL_INCHES - 0.05, y, label, ha="right", va="center", **_text(8))
    small = _small(row.query_path, row.box, row.turns)
    name = drawable(Path(row.query_path).stem[:16], number)
    _draw_image(axes, _centre(0), y, small, "black", name)
    for column, image in enumerate(row.ranks, 1):
        color, mark = _FRAMES[image.verdict]
        small = _small(image.path, None, image.turns)
        _draw_image(axes, _centre(column), y, small, color, f"{mark} {image.score:.3f}")


def _small(path, box, turns):
    side = round(_CELL_INCHES * _DPI)
    try:
        return thumbnail(path, side, box, turns)
    except UserError:
        return np.full((side, side, 3), _ABSENT, np.uint8)


def _draw_image(axes, x, y, small, color, label):
    """Fits an image into a cell around `(x, y)`, framed, with a label below."""
    half = np.array(small.shape[1::-1]) / max(small.shape) * _IMAGE_INCHES / 2
    left, right, top, bottom = x - half[0], x + half[0], y - half[1], y + half[1]
    axes.imshow(
        small, extent=(left, right, bottom, top), interpolation="antialiased", aspect="auto"
    )
    frame = ([left, right, right, left, left], [bottom, bottom, top, top, bottom])
    axes.plot(*frame, color=color, linewidth=2.5, solid_joinstyle="miter")
    axes.text(x, bottom + 0.05, label, color=color, ha="center", va="top", **_text(7))
