"""Wall surfaces of generated landmarks: masonry, stripes, pilasters, checkers, timber, panels."""

import numpy as np

from darac_tf.data.demo.canvas import Canvas, Style, shade


def wall(canvas: Canvas, style: Style, x0, y0, x1, y1, taper: float = 0.0) -> None:
    """Draws a wall with the style's texture, its right edge in shade.

    Args:
      canvas: the sheet to draw on.
      style: the landmark's attributes.
      x0, y0, x1, y1: lower left and upper right corner, in widths of the sheet.
      taper: how much narrower each side of the top is, as a share of the width, 0..0.5.
    """
    inset = taper * (x1 - x0)
    outline = [(x0, y0), (x1, y0), (x1 - inset, y1), (x0 + inset, y1)]
    canvas.fill(outline, style.wall)

    def point(u, v):
        """Maps shares of the wall's width and height to the sheet."""
        left, right = x0 + inset * v, x1 - inset * v
        return (left + (right - left) * u, y0 + (y1 - y0) * v)

    if style.texture != "plain":
        _TEXTURES[style.texture](canvas, style, point, x1 - x0, y1 - y0)
    edge = [point(0.9, 0), point(1, 0), point(1, 1), point(0.9, 1)]
    canvas.fill(edge, shade(style.wall, 0.8))
    plinth = min(0.03, 0.2 * (y1 - y0)) / (y1 - y0)
    canvas.fill([point(0, 0), point(1, 0), point(1, plinth), point(0, plinth)], style.trim)


def _rows(style: Style, height: float) -> int:
    return max(2, round(style.courses * height))


def _courses(canvas, style, point, width, height):
    rows = _rows(style, height)
    for row in range(1, rows):
        canvas.stroke([point(0, row / rows), point(1, row / rows)], shade(style.wall, 0.82), 0.003)


def _bricks(canvas, style, point, width, height):
    _courses(canvas, style, point, width, height)
    rows = _rows(style, height)
    columns = max(2, round(rows * width / height / 2))
    for row in range(rows):
        for column in range(1, columns):
            u = (column + 0.5 * (row % 2) - 0.25) / columns
            joint = [point(u, row / rows), point(u, (row + 1) / rows)]
            canvas.stroke(joint, shade(style.wall, 0.82), 0.003)


def _stripes(canvas, style, point, width, height):
    rows = max(2, _rows(style, height) // 2)
    for row in range(0, rows, 2):
        low, high = row / rows, (row + 1) / rows
        corners = [point(0, low), point(1, low), point(1, high), point(0, high)]
        canvas.fill(corners, shade(style.wall, 0.74))


def _pilasters(canvas, style, point, width, height):
    count = max(2, round(style.courses * width / 4))
    for pilaster in range(count + 1):
        u = pilaster / count * 0.94 + 0.03
        corners = [point(u - 0.02, 0), point(u + 0.02, 0), point(u + 0.02, 1), point(u - 0.02, 1)]
        canvas.fill(corners, shade(style.wall, 1.15))
        canvas.stroke([corners[1], corners[2]], shade(style.wall, 0.6), 0.003)


def _checker(canvas, style, point, width, height):
    rows = max(2, _rows(style, height) // 2)
    columns = max(2, round(rows * width / height))
    for row in range(rows):
        for column in range(row % 2, columns, 2):
            u0, u1 = column / columns, (column + 1) / columns
            v0, v1 = row / rows, (row + 1) / rows
            corners = [point(u0, v0), point(u1, v0), point(u1, v1), point(u0, v1)]
            canvas.fill(corners, shade(style.wall, 0.84))


def _timber(canvas, style, point, width, height):
    rows = max(1, round(style.courses * height / 8))
    columns = max(1, round(style.courses * width / 8))
    beam = shade(style.wall, 0.42)
    for row in range(rows + 1):
        canvas.stroke([point(0, row / rows), point(1, row / rows)], beam, 0.007)
    for column in range(columns + 1):
        canvas.stroke([point(column / columns, 0), point(column / columns, 1)], beam, 0.007)
    for row, column in np.ndindex(rows, columns):
        start, end = (0, 1) if (row + column) % 2 else (1, 0)
        brace = [
            point((column + start) / columns, row / rows),
            point((column + end) / columns, (row + 1) / rows),
        ]
        canvas.stroke(brace, beam, 0.006)


def _panels(canvas, style, point, width, height):
    rows = max(1, round(style.courses * height / 7))
    columns = max(1, round(style.courses * width / 7))
    for row, column in np.ndindex(rows, columns):
        u0, u1 = (column + 0.14) / columns, (column + 0.86) / columns
        v0, v1 = (row + 0.14) / rows, (row + 0.86) / rows
        corners = [point(u0, v0), point(u1, v0), point(u1, v1), point(u0, v1)]
        canvas.stroke(corners, shade(style.wall, 0.7), 0.004, closed=True)


_TEXTURES = {
    "courses": _courses,
    "bricks": _bricks,
    "stripes": _stripes,
    "pilasters": _pilasters,
    "checker": _checker,
    "timber": _timber,
    "panels": _panels,
}
