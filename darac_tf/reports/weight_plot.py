"""DARAC's learned weights over an image, region by region, and as bars."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm
from matplotlib.patches import Rectangle

from darac_tf.reports.figures import GREY, new_figure

_STATISTICS = ("maximum", "average")
# Blue below 1, red above: told apart by colour-blind readers too.
_COLOR_MAP = "RdBu_r"
# Weights that are all equal would leave the scale without a width.
_NARROWEST_SCALE = 0.01
# A patch is at most this share of its region's side, and of the distance to the next one.
_OF_SIDE, _OF_DISTANCE = 0.5, 0.9


def color_scale(weights):
    """Matplotlib's mapping of weights to colours: as far below 1 as above.

    Args:
        weights: `RegionWeights`.
    """
    both = np.concatenate([weights.maximum, weights.average])
    reach = max(float(np.abs(both - 1).max()), _NARROWEST_SCALE)
    return ScalarMappable(CenteredNorm(1.0, halfrange=reach), _COLOR_MAP)


def draw_weights(title, weights, rows, columns, image=None):
    """Draws the weights: a row of panels for maxima and one for averages, and bars below.

    Args:
        title: Lines above.
        weights: `RegionWeights`.
        rows: Of the map.
        columns: Of the map.
        image: `(height, width, 3)` in [0, 255] below the panels, or None for an outline.

    Returns:
        Matplotlib figure, 10 inches wide.
    """
    shape = (rows, columns) if image is None else image.shape[:2]
    levels, regions = weights.levels(), weights.regions(rows, columns)
    panel = 10 / len(levels) * min(max(shape[0] / shape[1], 0.6), 1.4)
    figure = new_figure(10, 2 * panel + 3.8, title)
    parts = figure.add_gridspec(3, len(levels), height_ratios=[panel, panel, 2.8])
    scale, axes = color_scale(weights), []
    for row, statistic in enumerate(_STATISTICS):
        values = getattr(weights, statistic)
        for column, (name, span) in enumerate(levels):
            axes.append(figure.add_subplot(parts[row, column]))
            axes[-1].set_title(f"{statistic}, {name}", fontsize=8)
            _draw_map(axes[-1], image, rows, columns)
            _draw_regions(axes[-1], regions[span], values[span], scale)
    bars = figure.add_subplot(parts[2, :])
    _draw_bars(bars, weights, levels, scale)
    key = figure.colorbar(scale, ax=[*axes, bars], shrink=0.5, pad=0.01)
    key.set_label("weight", fontsize=8)
    key.ax.tick_params(labelsize=7)
    return figure


def patch_sizes(regions):
    """Width and height of patches at the centres of regions, such that no two of them meet.

    Args:
        regions: `(n, 4)` of `(x, y, width, height)`, of one level.

    Returns:
        float64 `(n, 2)`, in cells.
    """
    regions = np.asarray(regions, np.float64)
    sizes = _OF_SIDE * regions[:, 2:]
    centres = regions[:, :2] + regions[:, 2:] / 2
    for axis in (0, 1):
        gaps = np.diff(np.unique(centres[:, axis]))
        if len(gaps):
            sizes[:, axis] = np.minimum(sizes[:, axis], _OF_DISTANCE * gaps.min())
    return sizes


def _draw_map(axes, image, rows, columns):
    """The image, pale and grey, in the coordinates of the map."""
    if image is not None:
        pale = 255 - 0.45 * (255 - np.asarray(image, np.float64).mean(axis=2))
        extent = (0, columns, rows, 0)
        axes.imshow(pale, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
        axes.set_box_aspect(image.shape[0] / image.shape[1])
    else:
        axes.set_box_aspect(rows / columns)
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])


def _draw_regions(axes, regions, values, scale):
    """Outlines, and at their centres patches with the weight in colour and as a number."""
    small = 6 if len(values) > 6 else 8
    sizes = patch_sizes(regions)
    for (x, y, width, height), size, value in zip(regions.tolist(), sizes, values, strict=True):
        axes.add_patch(Rectangle((x, y), width, height, fill=False, ec=GREY, lw=0.6, ls=":"))
        middle = (x + width / 2, y + height / 2)
        corner = middle - size / 2
        color = scale.to_rgba(value)
        axes.add_patch(Rectangle(corner, *size, fc=color, ec="black", lw=0.4))
        ink = "white" if np.dot(color[:3], (0.299, 0.587, 0.114)) < 0.5 else "black"
        axes.text(*middle, f"{value:.2f}", ha="center", va="center", fontsize=small, color=ink)


def _draw_bars(axes, weights, levels, scale):
    """Two bars a region, from 1 to the weight; averages are hatched."""
    place = np.arange(1, len(weights.maximum) + 1)
    for statistic, shift, hatch in zip(_STATISTICS, (-0.2, 0.2), (None, "////"), strict=True):
        values = getattr(weights, statistic)
        axes.bar(
            place + shift,
            values - 1,
            0.4,
            bottom=1,
            color=scale.to_rgba(values),
            hatch=hatch,
            ec="black",
            lw=0.5,
            label=statistic,
        )
    for name, span in levels:
        axes.axvline(span.stop + 0.5, color=GREY, lw=0.6)
        middle = (span.start + span.stop + 1) / 2
        axes.annotate(
            name.replace("whole ", "whole\n"),
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.axhline(1, color="black", lw=0.8)
    axes.set(xlim=(0.5, place[-1] + 0.5), xticks=place)
    axes.set_xlabel("region, in the order of the grid", fontsize=9)
    axes.set_ylabel("weight", fontsize=9)
    axes.tick_params(labelsize=7)
    # Its patches would have the colour of the first bar.
    legend = axes.legend(fontsize=8, loc="best")
    for patch in legend.get_patches():
        patch.set_facecolor("white")
