"""The sheet that a landmark is drawn on, and the parts that landmarks are put together from.

Coordinates are those of an elevation drawing: x from -0.5 (left) to 0.5 (right), y from 0 (ground)
up to 1, both in widths of the sheet.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SHEET_SIDE = 512
_FRACTION_BITS = 4  # OpenCV draws at sixteenths of a pixel

# RGB in 0..255; few, so that landmarks share them.
WALLS = (
    *((222, 190, 134), (172, 80, 56), (150, 150, 154), (236, 232, 224), (228, 172, 66)),
    *((222, 146, 140), (140, 170, 206), (98, 92, 92), (142, 176, 124), (176, 142, 190)),
)
ROOFS = (
    *((74, 88, 124), (190, 82, 50), (92, 166, 140), (220, 172, 56)),
    *((104, 72, 52), (52, 50, 58), (176, 186, 196), (136, 44, 60)),
)
OPENINGS = ("rectangle", "arch", "pointed", "round")
TEXTURES = ("plain", "courses", "bricks", "stripes", "pilasters", "checker")
# Half the width of a roof at heights 0..1, as knots (height, half width) joined by straight lines.
_ROOFS = {
    "gable": ((0, 1), (1, 0)),
    "hip": ((0, 1), (1, 0.55)),
    "mansard": ((0, 1), (0.65, 0.8), (1, 0.35)),
    "bell": ((0, 1), (0.15, 0.7), (0.35, 0.45), (0.6, 0.22), (1, 0)),
    "flared": ((0, 1.15), (0.12, 0.85), (1, 0)),
    "helmet": ((0, 0.9), (0.4, 0.9), (0.55, 0.5), (0.6, 0.25), (0.8, 0.22), (1, 0)),
    "onion": ((0, 0.75), (0.12, 0.97), (0.25, 1.1), (0.4, 1), (0.55, 0.66), (0.7, 0.3), (1, 0)),
    "dome": ((0, 1), (0.3, 0.95), (0.6, 0.8), (0.8, 0.6), (0.92, 0.39), (0.98, 0.2), (1, 0)),
}
ROOF_SHAPES = tuple(_ROOFS)


def shade(colour, factor):
    """The RGB colour times `factor`, clipped to 0..255."""
    return tuple(int(c) for c in np.clip(np.round(np.asarray(colour) * factor), 0, 255))


def arc(cx, cy, rx, ry, start=0.0, stop=2.0, count=24):
    """Points `(count, 2)` of an ellipse from angle `start` to `stop`, in half turns."""
    angles = np.linspace(start, stop, count) * np.pi
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


@dataclass(frozen=True)
class Style:
    """What the parts of one landmark have in common: colours are RGB triples in 0..255."""

    wall: tuple
    trim: tuple
    roof: tuple
    glass: tuple
    opening: str
    opening_width: float  # share of a bay, 0..1
    opening_height: float  # share of a floor, 0..1
    frame: float  # width of the frame as a share of the opening's, 0 for none
    has_mullions: bool
    texture: str
    courses: int  # lines of the wall's texture over a full sheet
    roof_shape: str
    cap_shape: str  # roof of towers and turrets
    has_battlements: bool


def draw_style(rng):
    """Draws the attributes of one landmark."""

    def jittered(colour, spread):
        return shade(colour + rng.uniform(-spread, spread, 3), 1)

    wall = jittered(WALLS[rng.integers(len(WALLS))], 45)
    return Style(
        wall=wall,
        trim=shade(wall, rng.choice([0.66, 0.78, 1.2])),
        roof=jittered(ROOFS[rng.integers(len(ROOFS))], 45),
        glass=jittered(np.array((52, 58, 70)), 18),
        opening=str(rng.choice(OPENINGS)),
        opening_width=rng.uniform(0.34, 0.7),
        opening_height=rng.uniform(0.45, 0.78),
        frame=rng.choice([0.0, 0.22, 0.36]),
        has_mullions=rng.random() < 0.6,
        texture=str(rng.choice(TEXTURES)),
        courses=int(rng.integers(24, 56)),
        roof_shape=str(rng.choice(ROOF_SHAPES)),
        cap_shape=str(rng.choice(ROOF_SHAPES)),
        has_battlements=rng.random() < 0.6,
    )


class Canvas:
    """One flat sheet of a landmark, and what is drawn on it in the landmark's style.

    Corners are x0, y0 (lower left) and x1, y1 (upper right), in widths of the sheet.

    Attributes:
        rgba: `(SHEET_SIDE, SHEET_SIDE, 4)` uint8, RGB and coverage.
        glass: `(SHEET_SIDE, SHEET_SIDE)` uint8, 255 where a window can be lit from inside.
        depth: Distance in front of the landmark's main plane, in widths of the sheet.
        thickness: How far the sheet's walls run backwards, in the same unit.
    """

    def __init__(self, style, depth=0.0, thickness=0.12):
        self.style = style
        self.rgba = np.zeros((SHEET_SIDE, SHEET_SIDE, 4), np.uint8)
        self.glass = np.zeros((SHEET_SIDE, SHEET_SIDE), np.uint8)
        self.depth = depth
        self.thickness = thickness

    def fill(self, points, colour, glass=False):
        """Fills the polygon `points`, `(n, 2)`, which also hides what was drawn there before."""
        fixed = [_to_pixels(points)]
        cv2.fillPoly(self.rgba, fixed, (*colour, 255), shift=_FRACTION_BITS)
        cv2.fillPoly(self.glass, fixed, 255 if glass else 0, shift=_FRACTION_BITS)

    def stroke(self, points, colour, width=0.005):
        """Draws the line through `points`, `(n, 2)`."""
        fixed, pixels = [_to_pixels(points)], max(1, round(width * SHEET_SIDE))
        cv2.polylines(self.rgba, fixed, False, (*colour, 255), pixels, shift=_FRACTION_BITS)
        cv2.polylines(self.glass, fixed, False, 0, pixels, shift=_FRACTION_BITS)

    def box(self, x0, y0, x1, y1, colour):
        """Fills an upright rectangle."""
        self.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def wall(self, x0, y0, x1, y1):
        """A wall with the style's texture, its right edge in shade, on a plinth."""
        style, width, height = self.style, x1 - x0, y1 - y0
        self.box(x0, y0, x1, y1, style.wall)
        rows = max(2, round(style.courses * height))
        for points, factor in _texture(style.texture, rows, max(2, round(rows * width / height))):
            draw = self.fill if len(points) == 4 else self.stroke
            corner = np.array((x0, y0))
            draw(corner + np.multiply(points, (width, height)), shade(style.wall, factor))
        self.box(x0 + 0.9 * width, y0, x1, y1, shade(style.wall, 0.8))
        self.box(x0, y0, x1, y0 + min(0.2 * height, 0.03), style.trim)

    def windows(self, x0, y0, x1, y1, bays, floors):
        """A grid of windows over a wall."""
        style, bay, floor = self.style, (x1 - x0) / bays, (y1 - y0) / floors
        for row in range(floors):
            y = y0 + (row + (1 - style.opening_height) / 2) * floor
            for column in range(bays):
                width, height = bay * style.opening_width, floor * style.opening_height
                self.opening(x0 + (column + 0.5) * bay, y, width, height)

    def opening(self, cx, y, width, height):
        """A window with the style's frame and mullions."""
        style, shape = self.style, self.style.opening
        wide, high = width * (1 + style.frame), height * (1 + 0.5 * style.frame)
        self.fill(_outline(shape, cx, y - (high - height) / 2, wide, high), style.trim)
        self.fill(_outline(shape, cx, y, width, height), style.glass, glass=True)
        if style.has_mullions and width > 0.02:
            self.stroke([(cx, y), (cx, y + 0.95 * height)], style.trim, 0.004)

    def gate(self, cx, width, height, shape="arch", y=0.0):
        """A doorway with two stepped frames, dark inside."""
        dark = (46, 40, 38)
        frames = ((1.3, self.style.trim), (1.15, shade(self.style.wall, 0.9)), (1.0, dark))
        for wider, colour in frames:
            self.fill(_outline(shape, cx, y, width * wider, height * (1 + wider) / 2), colour)

    def turret(self, cx, y, width, height, bays=1, floors=2):
        """A small tower with windows; its cap is left to the caller."""
        x0, x1 = cx - width / 2, cx + width / 2
        self.wall(x0, y, x1, y + height)
        self.windows(x0 + 0.1 * width, y, x1 - 0.1 * width, y + height, bays, floors)

    def roof(self, shape, x0, x1, y, height):
        """A roof on the wall top from `x0` to `x1`."""
        style, cx, half = self.style, (x0 + x1) / 2, (x1 - x0) / 2
        knots, heights = np.array(_ROOFS[shape], float), np.linspace(0, 1, 25)
        widths, ys = half * np.interp(heights, *knots.T), y + height * heights

        def edge(share):
            return np.stack([cx + share * widths, ys], axis=1)

        self.fill(np.concatenate([edge(-1), edge(1)[::-1]]), style.roof)
        self.fill(np.concatenate([edge(0.4), edge(1)[::-1]]), shade(style.roof, 0.78))
        self.box(x0, y - 0.008, x1, y + 0.006, style.trim)

    def parapet(self, x0, x1, y, size=0.03):
        """Finishes a wall top with a cornice, and battlements where the style has them."""
        style, count = self.style, max(2, round((x1 - x0) / (1.5 * size)))
        self.box(x0 - 0.01, y - 0.012, x1 + 0.01, y + 0.004, style.trim)
        width = (x1 - x0) / (2 * count - 1)
        for left in x0 + 2 * width * np.arange(count if style.has_battlements else 0):
            self.box(left, y - 0.002, left + width, y + size, style.wall)

    def columns(self, x0, y0, x1, y1, count):
        """A row of columns with bases, capitals and the beam they carry."""
        wall, pitch = self.style.wall, (x1 - x0) / count
        half = 0.2 * pitch
        self.box(x0, y0, x1, y1, shade(wall, 0.45))
        for cx in x0 + (np.arange(count) + 0.5) * pitch:
            self.box(cx - half, y0, cx + half, y1, shade(wall, 1.12))
            self.box(cx + 0.3 * half, y0, cx + half, y1, shade(wall, 0.8))
            for low in (y0, y1 - 0.013):
                self.box(cx - 1.5 * half, low, cx + 1.5 * half, low + 0.013, shade(wall, 1.12))
        self.box(x0 - 0.01, y1, x1 + 0.01, y1 + 0.03, self.style.trim)

    def pediment(self, x0, x1, y, height):
        """A triangular gable with a sunken field."""
        cx, inset = (x0 + x1) / 2, 0.14 * (x1 - x0)
        self.fill([(x0, y), (x1, y), (cx, y + height)], self.style.trim)
        field = np.array([(x0 + inset, 0.12), (x1 - inset, 0.12), (cx, 0.8)])
        self.fill(field * (1, height) + np.array((0, y)), shade(self.style.wall, 0.85))

    def rose(self, cx, cy, radius, spokes):
        """A round window with spokes."""
        self.fill(arc(cx, cy, 1.25 * radius, 1.25 * radius), self.style.trim)
        self.fill(arc(cx, cy, radius, radius), self.style.glass, glass=True)
        for tip in arc(cx, cy, radius, radius, count=spokes + 1)[1:]:
            self.stroke([(cx, cy), tip], self.style.trim)

    def steps(self, x0, x1, count, rise=0.014):
        """Steps up to a platform from `x0` to `x1`; returns the platform's height."""
        for step in range(count):
            outset, colour = (count - step) * 0.016, shade(self.style.wall, 0.95 - step % 2 * 0.17)
            self.box(x0 - outset, step * rise, x1 + outset, (step + 1) * rise, colour)
        return count * rise


def _cell(u0, v0, u1, v1):
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


def _texture(kind, rows, columns):
    """Yields `(points, factor)` on the unit square: a line of two points, or a cell of four."""
    if kind in ("courses", "bricks"):
        for row in range(rows):
            yield [(0, row / rows), (1, row / rows)], 0.82
            for column in range(1, columns // 2 if kind == "bricks" else 0):
                u = (2 * column + row % 2 - 0.5) / columns
                yield [(u, row / rows), (u, (row + 1) / rows)], 0.82
    elif kind == "stripes":
        for row in range(0, rows, 4):
            yield _cell(0, row / rows, 1, min(1, (row + 2) / rows)), 0.74
    elif kind == "pilasters":
        for u in np.linspace(0.03, 0.97, max(2, columns // 4)):
            yield _cell(u - 0.02, 0, u + 0.02, 1), 1.15
    elif kind == "checker":
        for row, column in np.ndindex(rows // 2, columns // 2):
            u, v = 2 * (column + row % 2 / 2) / columns, 2 * row / rows
            yield _cell(u, v, u + 1 / columns, v + 2 / rows), 0.84


def _outline(shape, cx, y, width, height):
    """The polygon `(n, 2)` of a window, door or arch standing on `(cx, y)`."""
    half, spring = width / 2, y + max(0.35 * height, height - width / 2)
    rise, middle = y + height - spring, y + height / 2
    feet = np.array([(cx - half, y), (cx + half, y)])
    if shape == "rectangle":
        return np.concatenate([feet, feet[::-1] + np.array((0, height))])
    if shape == "round":
        return arc(cx, middle, min(half, height / 2), min(half, height / 2))
    if shape == "arch":
        return np.concatenate([feet, arc(cx, spring, half, rise, 0, 1)])
    t = np.linspace(-1, 1, 19)  # pointed
    top = np.stack([cx - half * np.sign(t) * (1 - (1 - np.abs(t)) ** 2), spring + 0 * t], axis=1)
    top[:, 1] += 1.15 * rise * (1 - np.abs(t))
    return np.concatenate([feet, top])


def _to_pixels(points):
    pixels = (np.asarray(points, np.float64) * (1, -1) + (0.5, 1.0)) * SHEET_SIDE
    return np.round(pixels * 2**_FRACTION_BITS).astype(np.int32)
