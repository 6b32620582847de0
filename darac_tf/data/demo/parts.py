"""Openings, turrets, roofs and ornaments: what generated landmarks are put together from."""

import numpy as np

from darac_tf.data.demo.canvas import Canvas, Style, arc, rectangle, shade
from darac_tf.data.demo.walls import wall

# Half the width of a roof at heights 0..1, as knots (height, half width) joined by straight lines.
_ROOF_KNOTS = {
    "gable": ((0, 1), (1, 0)),
    "hip": ((0, 1), (1, 0.55)),
    "mansard": ((0, 1), (0.65, 0.8), (1, 0.35)),
    "bell": ((0, 1), (0.15, 0.7), (0.35, 0.45), (0.6, 0.22), (1, 0)),
    "flared": ((0, 1.15), (0.12, 0.85), (1, 0)),
    "helmet": ((0, 0.9), (0.4, 0.9), (0.55, 0.5), (0.6, 0.25), (0.8, 0.22), (1, 0)),
    "onion": (
        (0, 0.75),
        (0.12, 0.97),
        (0.25, 1.1),
        (0.4, 1.0),
        (0.55, 0.66),
        (0.7, 0.3),
        (0.82, 0.12),
        (1, 0),
    ),
}


def roof_profile(shape: str, heights: np.ndarray) -> np.ndarray:
    """Returns half the width of a roof of unit half width at `heights` in 0..1."""
    if shape == "dome":
        return np.sqrt(np.clip(1 - heights**2, 0, 1))
    if shape == "barrel":
        return np.sqrt(np.clip(1 - heights**2, 0, 1)) ** 0.5
    knots = np.array(_ROOF_KNOTS[shape], np.float64)
    return np.interp(heights, knots[:, 0], knots[:, 1])


def roof(canvas: Canvas, style: Style, shape: str, x0, x1, y, height) -> None:
    """Puts a roof of `shape` on the wall top from `x0` to `x1` at `y`, with ribs and finial."""
    cx, half = (x0 + x1) / 2, (x1 - x0) / 2
    heights = np.linspace(0, 1, 25)
    widths = half * roof_profile(shape, heights)
    ys = y + height * heights

    def edge(share):
        return np.stack([cx + share * widths, ys], axis=1)

    canvas.fill(np.concatenate([edge(-1), edge(1)[::-1]]), style.roof)
    canvas.fill(np.concatenate([edge(0.4), edge(1)[::-1]]), shade(style.roof, 0.78))
    for rib in np.linspace(-1, 1, 2 * style.ribs + 1)[1:-1] if style.ribs else ():
        canvas.stroke(edge(rib), shade(style.roof, 0.55), 0.004)
    canvas.box(x0 - 0.02 * half, y - 0.008, x1 + 0.02 * half, y + 0.006, style.trim)
    if widths[-1] < 0.2 * half:
        finial(canvas, style, cx, y + height, 0.2 * half + 0.02)


def finial(canvas: Canvas, style: Style, x, y, size) -> None:
    """Puts the style's finial, `size` high, on the point `(x, y)`."""
    colour = shade(style.roof, 0.6)
    if style.finial == "none":
        return
    canvas.stroke([(x, y - 0.01), (x, y + size)], colour, 0.006)
    if style.finial == "ball":
        canvas.fill(arc(x, y + 0.5 * size, 0.35 * size, 0.35 * size, 0, 2), colour)
    elif style.finial == "cross":
        canvas.stroke(
            [(x - 0.3 * size, y + 0.65 * size), (x + 0.3 * size, y + 0.65 * size)], colour, 0.006
        )
    elif style.finial == "flag":
        canvas.fill(
            [(x, y + size), (x + 0.8 * size, y + 0.8 * size), (x, y + 0.55 * size)], style.trim
        )
    elif style.finial == "crescent":
        canvas.stroke(arc(x, y + 0.8 * size, 0.3 * size, 0.3 * size, 0.7, 2.3), colour, 0.006)
    elif style.finial == "statue":
        canvas.fill(arc(x, y + 0.85 * size, 0.17 * size, 0.17 * size, 0, 2), colour)
        canvas.fill([(x - 0.3 * size, y), (x + 0.3 * size, y), (x, y + 0.8 * size)], colour)


def parapet(canvas: Canvas, style: Style, x0, x1, y, size=0.03) -> None:
    """Finishes a wall top from `x0` to `x1` at `y` with the style's parapet."""
    if style.parapet == "none":
        canvas.box(x0 - 0.01, y - 0.012, x1 + 0.01, y + 0.008, style.trim)
        return
    if style.parapet == "steps":
        for step in range(4):
            inset = (x1 - x0) * 0.11 * step
            top = y + size * (step + 1) * 0.8
            canvas.box(x0 + inset, y - 0.002, x1 - inset, top, style.wall)
            canvas.stroke([(x0 + inset, top), (x1 - inset, top)], style.trim, 0.006)
        return
    count = max(2, round((x1 - x0) / (1.5 * size)))
    width = (x1 - x0) / (2 * count - 1)
    battlements = style.parapet == "battlements"
    for merlon in range(count):
        left = x0 + 2 * merlon * width
        canvas.box(
            left, y - 0.002, left + width, y + size, style.wall if battlements else style.trim
        )
    if not battlements:
        canvas.box(x0 - 0.01, y + size, x1 + 0.01, y + 1.35 * size, style.trim)
    canvas.box(x0 - 0.006, y - 0.012, x1 + 0.006, y, style.trim)


def opening_outline(shape: str, cx, y, width, height) -> np.ndarray:
    """Returns the polygon `(n, 2)` of a window, door or arch standing on `(cx, y)`."""
    half = width / 2
    spring = y + max(0.35 * height, height - half)  # where the upright sides end
    rise = y + height - spring
    feet = np.array([(cx - half, y), (cx + half, y)])
    if shape == "rectangle":
        return rectangle(cx - half, y, cx + half, y + height)
    if shape == "round":
        radius = min(half, height / 2)
        return arc(cx, y + height / 2, radius, radius, 0, 2, 24)
    if shape == "lozenge":
        return np.array(
            [(cx, y), (cx + half, y + height / 2), (cx, y + height), (cx - half, y + height / 2)]
        )
    if shape == "arch":
        return np.concatenate([feet, arc(cx, spring, half, rise, 0, 1)])
    if shape == "segment":
        return np.concatenate([feet, arc(cx, y + 0.85 * height, half, 0.15 * height, 0, 1)])
    if shape == "horseshoe":
        return np.concatenate(
            [
                [(cx - 0.75 * half, y), (cx + 0.75 * half, y)],
                arc(cx, spring, half, rise, -0.22, 1.22),
            ]
        )
    t = np.linspace(0, 1, 10)
    side = 1 - t**2 if shape == "pointed" else 1 - t - 0.16 * np.sin(2 * np.pi * t)
    xs = half * np.concatenate([side, -side[::-1]])
    ys = spring + 1.15 * rise * np.concatenate([t, t[::-1]])
    return np.concatenate([feet, np.stack([cx + xs, ys], axis=1)])


def opening(canvas: Canvas, style: Style, cx, y, width, height, shape=None) -> None:
    """Draws one window with the style's frame, mullions and hood."""
    shape = shape or style.opening
    if style.frame:
        margin = style.frame * width / 2
        canvas.fill(
            opening_outline(shape, cx, y - margin / 2, width + 2 * margin, height + 1.5 * margin),
            style.trim,
        )
    canvas.fill(opening_outline(shape, cx, y, width, height), style.glass, glass=True)
    for bar in range(style.mullions if width > 0.02 else 0):
        if bar == 0:
            canvas.stroke([(cx, y), (cx, y + 0.95 * height)], style.trim, 0.004)
        else:
            level = y + 0.5 * height
            canvas.stroke([(cx - width / 2, level), (cx + width / 2, level)], style.trim, 0.004)
    top, half = y + 1.08 * height, 0.75 * width
    if style.hood == "lintel":
        canvas.box(cx - half, top, cx + half, top + 0.009, style.trim)
    elif style.hood == "pediment":
        peak = top + 0.5 * width
        canvas.fill([(cx - half, top), (cx + half, top), (cx, peak)], style.trim)


def windows(canvas: Canvas, style: Style, x0, y0, x1, y1, bays: int, floors: int) -> None:
    """Fills the wall from `(x0, y0)` to `(x1, y1)` with a grid of windows."""
    bay, floor = (x1 - x0) / bays, (y1 - y0) / floors
    width, height = bay * style.opening_width, floor * style.opening_height
    for row in range(floors):
        base = y0 + (row + (1 - style.opening_height) / 2) * floor
        for column in range(bays):
            opening(canvas, style, x0 + (column + 0.5) * bay, base, width, height)
        if style.bands and row:
            canvas.box(x0, y0 + row * floor - 0.004, x1, y0 + row * floor + 0.004, style.trim)


def turret(canvas: Canvas, style: Style, cx, y, width, height, bays=1, floors=2) -> None:
    """Draws a small tower with windows, on `(cx, y)`; its cap is left to the caller."""
    x0, x1 = cx - width / 2, cx + width / 2
    wall(canvas, style, x0, y, x1, y + height)
    windows(
        canvas,
        style,
        x0 + 0.1 * width,
        y + 0.05 * height,
        x1 - 0.1 * width,
        y + height,
        bays,
        floors,
    )


def gateway(canvas: Canvas, style: Style, cx, width, height, shape="arch", y=0.0) -> None:
    """Draws a doorway with two stepped frames, dark inside."""
    for margin, colour in ((0.3, style.trim), (0.15, shade(style.wall, 0.9)), (0.0, (46, 40, 38))):
        outline = opening_outline(shape, cx, y, width * (1 + margin), height * (1 + 0.5 * margin))
        canvas.fill(outline, colour)


def columns(canvas: Canvas, style: Style, x0, y0, x1, y1, count: int) -> None:
    """Draws a row of `count` columns with bases, capitals and the beam they carry."""
    pitch = (x1 - x0) / count
    half = 0.2 * pitch
    light = shade(style.wall, 1.12)
    canvas.box(x0, y0, x1, y1, shade(style.wall, 0.45))
    for column in range(count):
        cx = x0 + (column + 0.5) * pitch
        canvas.box(cx - half, y0, cx + half, y1, light)
        canvas.box(cx + 0.3 * half, y0, cx + half, y1, shade(style.wall, 0.8))
        canvas.box(cx - 1.5 * half, y0, cx + 1.5 * half, y0 + 0.012, light)
        canvas.box(cx - 1.6 * half, y1 - 0.014, cx + 1.6 * half, y1, light)
    canvas.box(x0 - 0.01, y1, x1 + 0.01, y1 + 0.03, style.trim)


def pediment(canvas: Canvas, style: Style, x0, x1, y, height) -> None:
    """Draws a triangular gable with a sunken field and a roundel."""
    cx = (x0 + x1) / 2
    canvas.fill([(x0, y), (x1, y), (cx, y + height)], style.trim)
    inset = 0.14 * (x1 - x0)
    canvas.fill(
        [(x0 + inset, y + 0.12 * height), (x1 - inset, y + 0.12 * height), (cx, y + 0.8 * height)],
        shade(style.wall, 0.85),
    )
    canvas.fill(arc(cx, y + 0.35 * height, 0.15 * height, 0.15 * height, 0, 2), style.trim)


def roundel(canvas: Canvas, style: Style, cx, cy, radius, spokes: int) -> None:
    """Draws a rose window (many spokes) or a clock (two hands, when `spokes` is 0)."""
    canvas.fill(arc(cx, cy, 1.25 * radius, 1.25 * radius, 0, 2, 28), style.trim)
    if spokes == 0:
        canvas.fill(arc(cx, cy, radius, radius, 0, 2, 28), (236, 232, 220))
        for dx, dy in ((0.0, 0.8), (0.55, 0.2)):
            canvas.stroke([(cx, cy), (cx + dx * radius, cy + dy * radius)], (30, 30, 34), 0.006)
        return
    canvas.fill(arc(cx, cy, radius, radius, 0, 2, 28), style.glass, glass=True)
    for x, y in arc(cx, cy, radius, radius, 0, 2, spokes + 1)[:-1]:
        canvas.stroke([(cx, cy), (x, y)], style.trim, 0.005)
    canvas.fill(arc(cx, cy, 0.3 * radius, 0.3 * radius, 0, 2, 16), style.trim)


def steps(canvas: Canvas, style: Style, x0, x1, count: int, rise: float = 0.014) -> float:
    """Draws `count` steps up to a platform from `x0` to `x1`; returns the platform's height."""
    for step in range(count):
        outset = (count - step) * 0.016
        colour = shade(style.wall, 0.95 if step % 2 else 0.78)
        canvas.box(x0 - outset, step * rise, x1 + outset, (step + 1) * rise, colour)
    return count * rise
