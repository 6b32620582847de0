"""Plots of an evaluation: precision against recall, and the average precision of each query."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.reports.glyphs import FAMILIES, drawable

# Recall levels of the mean curve: 0, 0.01, ..., 1.
RECALL_LEVELS = np.arange(101) / 100

_DPI = 120
# Thin lines of single queries would only be a smear beyond this.
_MOST_THIN_LINES = 100
# Beyond this many queries, bars are too thin for names.
_MOST_NAMED_BARS = 100
# Okabe and Ito's colours, told apart by colour-blind readers too; then other dashes.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", ":", "-.")


def precision_recall(ranking_relevance, n_positives):
    """Precision and recall at each hit of one ranking.

    With the junk taken out, and rank_h the rank of the h-th hit:
    `precision_h = h / rank_h` and `recall_h = h / |P|` (Manning, Raghavan and Schuetze,
    "Introduction to Information Retrieval", 2008, section 8.4).

    Of two positives, one is found at rank 1 and the other at rank 3, junk not counted:

    >>> precision, recall = precision_recall([True, None, False, True], n_positives=2)
    >>> precision.round(4).tolist(), recall.tolist()
    ([1.0, 0.6667], [0.5, 1.0])

    Args:
        ranking_relevance: `(K,)` of True, False and None (junk), best first. It may be truncated.
        n_positives: Positives of the query, found or not, at least 1.

    Returns:
        Tuple of float64 `(hits,)` precision and `(hits,)` recall, both in (0, 1].

    Raises:
        ValueError: If there are no positives, more hits than positives, or a verdict is another.
    """
    hits = _without_junk(ranking_relevance)
    ranks = np.flatnonzero(hits) + 1
    if n_positives < max(1, ranks.size):
        received = f"{n_positives} with {ranks.size} hits"
        raise ValueError(f"n_positives: at least 1 and the number of hits. Received: {received}")
    count = np.arange(1, ranks.size + 1)
    return count / ranks, count / n_positives


def interpolated_precision(precision, recall, levels=RECALL_LEVELS):
    """The best precision that is reached at a recall or beyond.

    `p(r) = max_{r_h >= r} precision_h`, and 0 where no hit has such a recall: the interpolation of
    TREC (Manning, Raghavan and Schuetze, 2008, section 8.4). It makes curves of different numbers
    of positives comparable. The area below is none of the average precisions of the protocols.

    >>> interpolated_precision([1.0, 0.5, 0.6], [0.25, 0.5, 0.75], [0.0, 0.3, 0.75, 1.0]).tolist()
    [1.0, 0.6, 0.6, 0.0]

    Args:
        precision: `(hits,)` in [0, 1].
        recall: `(hits,)` in [0, 1], increasing.
        levels: `(L,)` recalls in [0, 1].

    Returns:
        float64 `(L,)` in [0, 1].
    """
    best_from = np.maximum.accumulate(np.asarray(precision, np.float64)[::-1])[::-1]
    return np.append(best_from, 0.0)[np.searchsorted(recall, levels, side="left")]


def query_curves(rankings, levels=RECALL_LEVELS):
    """`interpolated_precision` of each query that has a positive: float64 `(such queries, L)`.

    Of the arguments of `precision_recall` for each query, and `(L,)` recalls in [0, 1].
    """
    found = (precision_recall(*ranking) for ranking in rankings if ranking[1] > 0)
    rows = [interpolated_precision(*points, levels) for points in found]
    return np.array(rows).reshape(len(rows), len(levels))


def draw_precision_recall(path, title, curves):
    """Draws precision against recall: the mean over the queries of each row of the table.

    With one row, its queries are drawn as thin lines too, up to a hundred of them.

    Args:
        path: File to write, ending in .png or .svg.
        title: One short line.
        curves: Non-empty list of the label of a row and its `query_curves`.

    Raises:
        UserError: If no query of a row has a positive, or the file can't be written.
        ValueError: If there are no curves, or the path ends otherwise.
    """
    if not curves:
        raise ValueError("A plot needs at least one curve. Received: none")
    figure, axes = _figure(6.4, 4.8, title)
    lines = []
    for number, (label, rows) in enumerate(curves):
        if not len(rows):
            raise UserError(f"{label}: no query has a positive, so there is no curve to draw")
        if len(curves) == 1:
            axes.plot(RECALL_LEVELS, rows[:_MOST_THIN_LINES].T, color="#999999", lw=0.4, alpha=0.6)
        # A colour once through, then the same colours with other dashes.
        color, dashes = _COLORS[number % len(_COLORS)], _DASHES[number // len(_COLORS) % 4]
        lines += axes.plot(RECALL_LEVELS, rows.mean(axis=0), dashes, color=color, linewidth=1.8)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision (interpolated)")
    axes.grid(True, linewidth=0.4, alpha=0.5)
    _legend(axes, lines, [label for label, _ in curves])
    _save(figure, path)


def draw_query_ap(path, title, names, ap):
    """Draws the average precision of each query as bars, the best first, and their mean.

    Up to a hundred queries are named. Those without a positive have no bar; they are counted.

    Args:
        path: File to write, ending in .png or .svg.
        title: One short line.
        names: `(Q,)` names of the queries, such as file names.
        ap: `(Q,)` in [0, 1]; NaN or None for a query without a positive.

    Raises:
        UserError: If no query has a positive, or the file can't be written.
        ValueError: If names and ap differ in length, or the path ends otherwise.
    """
    ap = np.array(ap, np.float64)
    if ap.shape != (len(names),):
        raise ValueError(f"ap needs one number a name. Received: {ap.shape}, {len(names)} names")
    order = np.argsort(-ap, kind="stable")[: int((~np.isnan(ap)).sum())]
    if not order.size:
        raise UserError(f"{title}: no query has a positive, so there is nothing to draw")
    named = order.size <= _MOST_NAMED_BARS
    figure, axes = _figure(7, 1.4 + 0.17 * order.size if named else 6, title)
    _draw_bars(axes, ap[order], [_short(names[n], n + 1) for n in order] if named else None)
    mean = ap[order].mean()
    line = axes.axvline(mean, color=_COLORS[1], linestyle="--", linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(order.size - 0.4, -0.6))
    axes.grid(True, axis="x", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    n_left_out = len(ap) - order.size
    left_out = f", {n_left_out} without a positive left out" if n_left_out else ""
    axes.set_xlabel(f"average precision of {order.size} queries{left_out}", fontsize=8)
    _legend(axes, [line], [f"mean {100 * mean:.2f} %"])
    _save(figure, path)


def _without_junk(verdicts):
    """Boolean array of the verdicts that are not None."""
    kept = [verdict for verdict in np.asarray(verdicts, object) if verdict is not None]
    strange = [verdict for verdict in kept if not isinstance(verdict, bool | np.bool_)]
    if strange:
        raise ValueError(f"Verdicts must be True, False or None. Received: {strange[0]!r}")
    return np.array(kept, bool)


def _figure(width, height, title):
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(drawable(title), fontsize=10, family=FAMILIES, parse_math=False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _legend(axes, lines, labels):
    # Matplotlib leaves out labels that start with an underscore, so they are set afterwards.
    legend = axes.legend(lines, ["row"] * len(lines), fontsize=7, loc="best")
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set(text=drawable(label), family=FAMILIES, parse_math=False)


def _draw_bars(axes, values, names):
    if names is None:
        # One outline, since thousands of bars take long.
        edges = np.arange(len(values) + 1) - 0.5
        axes.stairs(values, edges, orientation="horizontal", fill=True, color=_COLORS[0])
        axes.set_ylabel("queries, the best first", fontsize=8)
        return
    axes.barh(range(len(values)), values, height=0.75, color=_COLORS[0])
    axes.set_yticks(range(len(values)), names, fontsize=6, family=FAMILIES)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)


def _short(name, number, length=40):
    text = drawable(str(name), number)
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _save(figure, path):
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise ValueError(f"A plot is written as .png or .svg. Received: {path}")
    # The same plot gives the same file: no date, no random identifiers.
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "darac"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(temporary, format=kind, metadata=metadata)
