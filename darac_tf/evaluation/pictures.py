"""Pictures of rankings: what a descriptor finds, and what it mistakes."""

import math
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from darac_tf.data.images import decode_image, resize_long_side, unreadable
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

# The mark says the same as the frame's colour, for those who can't tell red from green.
_FRAMES = {True: ("#1a9641", "✓"), False: ("#d7191c", "✗"), None: ("#888888", "-")}
_CELL_INCHES = 1.5
_LABEL_INCHES = 0.9
_TITLE_INCHES = 0.6
_DPI = 120


def draw_rankings(path, rows, title):
    """Draws a PNG with a row a query: the query at left, then its first ranks.

    Right images have a green frame, wrong ones a red one, those that don't count a grey one;
    below each stands its score.

    Args:
        path: PNG file to write.
        rows: Non-empty list of `(query_path, ap, ranks)`, where `ap` is in [0, 1] or NaN, and
            `ranks` is a list of `(image_path, is_right, score)`, best first; `is_right` is None
            for an image that the protocol skips. Lists may differ in length.
        title: One short line.

    Raises:
        UserError: If an image can't be read or the file can't be written.
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError("A picture of rankings needs at least one row. Received: none")
    n_columns = 1 + max(len(ranks) for _, _, ranks in rows)
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
        _draw_row(row_axes, *row)
    for column, axis in enumerate(axes[0]):
        axis.set_title(str(column) if column else "query", fontsize=8, pad=3)
    # Centred in the title's own strip, above the rank numbers.
    figure.suptitle(title, fontsize=10, y=1 - 0.08 / height, va="top", parse_math=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def pick_queries(per_query_ap, count):
    """Chooses queries spread evenly from the worst to the best.

    >>> pick_queries([0.9, 0.1, float("nan"), 0.5, 0.7], 3)
    [1, 3, 0]

    Args:
        per_query_ap: `(Q,)` average precisions; NaN or None for queries that have none, which
            are not chosen.
        count: Queries to choose, at least 1. One gives the worst; more than there are, all.

    Returns:
        List of query numbers, worst first; equal ones in their own order.

    Raises:
        ValueError: If count is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1. Received: {count}")
    ap = np.array(per_query_ap, np.float64)
    order = [int(query) for query in np.argsort(ap, kind="stable") if not np.isnan(ap[query])]
    if count >= len(order):
        return order
    # The steps are longer than 1 here, so that no query is chosen twice.
    return [order[i * (len(order) - 1) // max(count - 1, 1)] for i in range(count)]


def _draw_row(axes, query_path, ap, ranks):
    for axis in axes:
        axis.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.spines[:].set_visible(False)
    _draw_image(axes[0], query_path, "black", Path(query_path).stem[:16])
    label = "AP -" if ap is None or math.isnan(ap) else f"AP {100 * ap:.1f} %"
    axes[0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
    for axis, (image_path, is_right, score) in zip(axes[1:], ranks, strict=False):
        color, mark = _FRAMES[is_right]
        _draw_image(axis, image_path, color, f"{mark} {score:.3f}")


def _draw_image(axis, path, color, label):
    """Fits an image into the unit square of an axis, framed, with a label below."""
    thumbnail = _thumbnail(path, round(_CELL_INCHES * _DPI))
    height, width = thumbnail.shape[:2]
    x, y = 0.5 * width / max(height, width), 0.5 * height / max(height, width)
    extent = (0.5 - x, 0.5 + x, 0.5 - y, 0.5 + y)
    axis.imshow(thumbnail, extent=extent, interpolation="antialiased", aspect="equal")
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    left, right, bottom, top = extent
    frame = ([left, right, right, left, left], [bottom, bottom, top, top, bottom])
    axis.plot(*frame, color=color, linewidth=2.5, clip_on=False, solid_joinstyle="miter")
    axis.text(
        0.5, bottom - 0.05, label, fontsize=7, color=color, ha="center", va="top", parse_math=False
    )


def _thumbnail(path, long_side):
    try:
        image = decode_image(Path(path).read_bytes())
    except (OSError, tf.errors.InvalidArgumentError) as error:
        raise UserError(unreadable(path)) from error
    return resize_long_side(image, long_side).numpy().round().clip(0, 255).astype(np.uint8)
