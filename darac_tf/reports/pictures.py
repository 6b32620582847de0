"""Pictures of rankings: what a descriptor finds, and what it mistakes."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from darac_tf.files import atomic_path
from darac_tf.reports.markdown import is_missing, printable
from darac_tf.reports.thumbnails import thumbnail

# The mark says the same as the frame's colour, for those who can't tell red from green.
_FRAMES = {True: ("#1a9641", "✓"), False: ("#d7191c", "✗"), None: ("#888888", "-")}
_CELL_INCHES = 1.5
_LABEL_INCHES = 0.9
_TITLE_INCHES = 0.6
_DPI = 120
_ABSENT = 190  # grey


def draw_rankings(path, rows, title, unreadable=()):
    """Draws a PNG with a row a query: the query at left, then its first ranks.

    Right images have a green frame, wrong ones a red one, those that don't count a grey one;
    below each stands its score.

    Args:
        path: PNG file to write.
        rows: Non-empty list of `query_rows.QueryRow`. Their ranks may differ in number.
        title: One short line.
        unreadable: Paths of images that can't be read: a text stands for them. Any other image that
            can't be read is an error.

    Raises:
        UserError: If an image can't be read or the file can't be written.
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError("A picture of rankings needs at least one row. Received: none")
    n_columns = 1 + max(len(row.ranks) for row in rows)
    width = _LABEL_INCHES + n_columns * _CELL_INCHES
    height = _TITLE_INCHES + len(rows) * _CELL_INCHES
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        len(rows),
        n_columns,
        squeeze=False,
        gridspec_kw={
            "left": _LABEL_INCHES / width,
            "right": 0.995,
            "bottom": 0.15 / height,
            "top": 1 - _TITLE_INCHES / height,
            "wspace": 0.06,
            "hspace": 0.2,
        },
    )
    for row_axes, row in zip(axes, rows, strict=True):
        _draw_row(row_axes, row, set(unreadable))
    for column, axis in enumerate(axes[0]):
        axis.set_title(str(column) if column else "query", fontsize=8, pad=3)
    # Centred in the title's own strip, above the rank numbers.
    figure.suptitle(printable(title), fontsize=10, y=1 - 0.08 / height, va="top", parse_math=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_row(axes, row, unreadable):
    for axis in axes:
        axis.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.spines[:].set_visible(False)
    small = _small(row.query_path, unreadable, row.box, row.turns)
    _draw_image(axes[0], small, "black", printable(Path(row.query_path).stem)[:16])
    label = "AP -" if is_missing(row.ap) else f"AP {100 * row.ap:.1f} %"
    axes[0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
    for axis, image in zip(axes[1:], row.ranks, strict=False):
        color, mark = _FRAMES[image.verdict]
        small = _small(image.path, unreadable, None, image.turns)
        _draw_image(axis, small, color, f"{mark} {image.score:.3f}")


def _small(path, unreadable, box, turns):
    side = round(_CELL_INCHES * _DPI)
    if str(path) in unreadable:
        return np.full((side, side, 3), _ABSENT, np.uint8)
    return thumbnail(path, side, box, turns)


def _draw_image(axis, small, color, label):
    """Fits an image into the unit square of an axis, framed, with a label below."""
    height, width = small.shape[:2]
    x, y = 0.5 * width / max(height, width), 0.5 * height / max(height, width)
    extent = (0.5 - x, 0.5 + x, 0.5 - y, 0.5 + y)
    axis.imshow(small, extent=extent, interpolation="antialiased", aspect="equal")
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    left, right, bottom, top = extent
    frame = ([left, right, right, left, left], [bottom, bottom, top, top, bottom])
    axis.plot(*frame, color=color, linewidth=2.5, clip_on=False, solid_joinstyle="miter")
    axis.text(
        0.5, bottom - 0.05, label, fontsize=7, color=color, ha="center", va="top", parse_math=False
    )
