"""Scores of several poolings against the size of the images: lines and a table."""

from matplotlib.ticker import NullLocator

from darac_tf.reports import markdown
from darac_tf.reports.figures import BLUE, GREEN, GREY, PURPLE, VERMILION, new_figure
from studies import poolings
from studies.figures import label_ends

# Colour and marker tell the statistic, the dashes whether it is of the whole map or of regions.
_STYLES = {
    poolings.GLOBAL_AVERAGE: (BLUE, "o", "--"),
    poolings.GLOBAL_MAX: (VERMILION, "^", "--"),
    poolings.GLOBAL_BOTH: (GREEN, "s", "--"),
    poolings.REGIONAL_AVERAGE: (BLUE, "o", "-"),
    poolings.REGIONAL_MAX: (VERMILION, "^", "-"),
    poolings.REGIONAL_BOTH: (GREEN, "s", "-"),
    poolings.GEM: (PURPLE, "D", ":"),
}
_OTHER_STYLE = (GREY, "x", "-")


def main_metric(scores):
    """The score that is drawn: mAP, of the medium setting where the protocol has several.

    >>> main_metric({"mP@1": 0.9, "mAP (revisited, Easy)": 0.8, "mAP (revisited, Medium)": 0.7})
    'mAP (revisited, Medium)'

    Args:
        scores: Dictionary of metric to score.

    Returns:
        A key of `scores`.

    Raises:
        ValueError: If none is an mAP.
    """
    names = [name for name in scores if name.startswith("mAP")]
    if not names:
        raise ValueError(f"No mAP among the scores. Received: {list(scores)}")
    return next((name for name in names if "Medium" in name), names[0])


def size_table(sizes, scores):
    """Markdown: a row for each pooling, a column for each size, the best of each size in bold.

    Args:
        sizes: `(S,)` long sides in pixels.
        scores: Dictionary of pooling to `(S,)` scores in [0, 1].
    """
    best = [max(row[column] for row in scores.values()) for column in range(len(sizes))]
    rows = [
        [name]
        + [
            f"**{markdown.percent(value)}**" if value == top else markdown.percent(value)
            for value, top in zip(row, best, strict=True)
        ]
        for name, row in scores.items()
    ]
    header = ["mAP in %", *map(str, sizes)]
    return markdown.table(header, rows, [column > 0 for column in range(len(header))])


def draw_by_size(title, metric, sizes, scores):
    """Draws a line for each pooling, named at its right end.

    Args:
        title: Lines above.
        metric: What the scores are.
        sizes: `(S,)` long sides in pixels, rising.
        scores: Dictionary of pooling to `(S,)` scores in [0, 1].

    Returns:
        Matplotlib figure, 7.5 x 4.8 inches.
    """
    figure = new_figure(7.5, 4.8, title)
    axes = figure.subplots()
    styles = [_STYLES.get(name, _OTHER_STYLE) for name in scores]
    for row, (color, marker, dashes) in zip(scores.values(), styles, strict=True):
        percents = [100 * value for value in row]
        axes.plot(sizes, percents, color=color, marker=marker, ls=dashes, lw=1.6, ms=5)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.tick_params(labelsize=8)
    axes.set_xlabel("long side of the images, pixels (logarithmic)", fontsize=9)
    axes.set_ylabel(f"{metric}, %", fontsize=9)
    axes.grid(True, linewidth=0.4, alpha=0.5)
    ends = [100 * row[-1] for row in scores.values()]
    # The labels' places are shares of the axes, which must not move afterwards.
    axes.set_ylim(axes.get_ylim())
    label_ends(axes, sizes[-1], ends, list(scores), [color for color, *_ in styles])
    return figure
