"""Two-dimensional embeddings of digits, a panel for each loss."""

import numpy as np
from matplotlib.patches import Circle

from darac_tf.reports.figures import GREY, new_figure
from studies.digit_training import CIRCLE
from studies.figures import spread

# Ten colours that are dark enough on white; the digits themselves are the markers.
_COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00",
    "#3b9dd4", "#000000", "#7b3fa0", "#7a4a21", "#c21e3a",
)  # fmt: skip
_MOST_POINTS = 600
# On a circle all points of a class cover each other: they are drawn at radii from here to 1.
_INNERMOST = 0.78


def draw_embeddings(title, panels):
    """Draws the embeddings of each loss, the digits as markers.

    Points on the circle are drawn a little inside of it, at random radii, to be seen at all; their
    directions are exact.

    Args:
        title: Lines above.
        panels: List of `(name, space, embeddings (images, 2), labels (images,), lines below the
            name)`.

    Returns:
        Matplotlib figure, 4.2 x 4.7 inches a panel; up to three panels are in one row, more in two.
    """
    rows = 1 if len(panels) <= 3 else 2
    columns = -(-len(panels) // rows)
    figure = new_figure(4.2 * columns, 4.7 * rows + 0.5, title)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in places[len(panels) :]:
        axes.remove()
    for axes, (name, space, points, labels, lines) in zip(places, panels, strict=False):
        axes.set_title("\n".join([f"{name}, on the {space}", *lines]), fontsize=9)
        axes.set_box_aspect(1)
        chosen = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
        draw = _draw_circle if space == CIRCLE else _draw_plane
        draw(axes, points[chosen], labels[chosen])
    return figure


def class_directions(points, labels):
    """Mean direction of each class that is there.

    Args:
        points: Unit vectors `(images, 2)`.
        labels: `(images,)`.

    Returns:
        `(labels that are there, angles in radians from -pi to pi)`.
    """
    found = np.unique(labels)
    means = np.stack([points[labels == label].mean(axis=0) for label in found])
    return found, np.arctan2(means[:, 1], means[:, 0])


def _draw_circle(axes, points, labels):
    axes.add_patch(Circle((0, 0), 1, fill=False, ec=GREY, lw=0.6))
    radii = np.random.default_rng(1).uniform(_INNERMOST, 1, (len(points), 1))
    _draw_points(axes, points * radii, labels)
    found, angles = class_directions(points, labels)
    for label, angle, place in zip(found, angles, spread(angles, 0.17), strict=True):
        ray, edge = (
            np.array([np.cos(place), np.sin(place)]),
            np.array([np.cos(angle), np.sin(angle)]),
        )
        axes.plot(*np.stack([1.01 * edge, 1.1 * ray]).T, color=_COLORS[label], lw=0.8)
        axes.text(
            *1.19 * ray, str(label), color=_COLORS[label], fontsize=12, weight="bold",
            ha="center", va="center",
        )  # fmt: skip
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    axes.set_axis_off()


def _draw_plane(axes, points, labels):
    _draw_points(axes, points, labels)
    axes.axhline(0, color=GREY, lw=0.4)
    axes.axvline(0, color=GREY, lw=0.4)
    reach = 1.05 * np.abs(points).max()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.tick_params(labelsize=7)


def _draw_points(axes, points, labels):
    for label in np.unique(labels):
        own = points[labels == label]
        axes.scatter(
            *own.T, s=16, marker=f"${label}$", color=_COLORS[label], linewidths=0.2, alpha=0.8
        )
