"""The sheet a generated landmark is drawn on, and the attributes all its parts share.

Coordinates are those of an elevation drawing: x from -0.5 (left) to 0.5 (right), y from 0 (ground)
up to 1, both in widths of the sheet.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SHEET_SIDE = 512
_FRACTION_BITS = 4  # OpenCV draws at sixteenths of a pixel

WALLS = (
    (222, 190, 134),
    (172, 80, 56),
    (150, 150, 154),
    (236, 232, 224),
    (228, 172, 66),
    (222, 146, 140),
    (140, 170, 206),
    (98, 92, 92),
    (142, 176, 124),
    (176, 142, 190),
)
ROOFS = (
    (74, 88, 124),
    (190, 82, 50),
    (92, 166, 140),
    (220, 172, 56),
    (104, 72, 52),
    (52, 50, 58),
    (176, 186, 196),
    (136, 44, 60),
)
OPENINGS = ("rectangle", "arch", "pointed", "round", "horseshoe", "ogee", "lozenge", "segment")
TEXTURES = ("plain", "courses", "bricks", "stripes", "pilasters", "checker", "timber", "panels")
ROOF_SHAPES = ("gable", "hip", "mansard", "dome", "onion", "bell", "barrel", "flared", "helmet")
FINIALS = ("none", "ball", "cross", "flag", "needle", "crescent", "statue")


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
    mullions: int
    hood: str  # "none", "lintel" or "pediment"
    texture: str
    courses: int  # lines of the wall's texture over a full sheet
    roof_shape: str
    cap_shape: str  # roof of towers and turrets
    ribs: int
    finial: str
    parapet: str  # "none", "battlements", "balustrade" or "steps"
    bands: bool  # a string course at every floor


def shade(colour, factor: float) -> tuple:
    """Returns the RGB colour times `factor`, clipped to 0..255."""
    return tuple(int(min(255, max(0, round(channel * factor)))) for channel in colour)


def jitter(rng: np.random.Generator, colour, spread: float) -> tuple:
    """Returns the RGB colour moved by up to `spread` in each channel, clipped to 0..255."""
    moved = np.asarray(colour) + rng.uniform(-spread, spread, 3)
    return tuple(int(channel) for channel in np.clip(np.round(moved), 0, 255))


def draw_style(rng: np.random.Generator) -> Style:
    """Draws the attributes of one landmark; the palettes are few, so that landmarks share them."""
    wall = jitter(rng, WALLS[rng.integers(len(WALLS))], 45)
    return Style(
        wall=wall,
        trim=shade(wall, float(rng.choice([0.66, 0.78, 1.2]))),
        roof=jitter(rng, ROOFS[rng.integers(len(ROOFS))], 45),
        glass=jitter(rng, (52, 58, 70), 18),
        opening=str(rng.choice(OPENINGS)),
        opening_width=float(rng.uniform(0.34, 0.7)),
        opening_height=float(rng.uniform(0.45, 0.78)),
        frame=float(rng.choice([0.0, 0.22, 0.36])),
        mullions=int(rng.integers(0, 3)),
        hood=str(rng.choice(["none", "none", "lintel", "pediment"])),
        texture=str(rng.choice(TEXTURES)),
        courses=int(rng.integers(24, 56)),
        roof_shape=str(rng.choice(ROOF_SHAPES)),
        cap_shape=str(rng.choice(ROOF_SHAPES)),
        ribs=int(rng.choice([0, 0, 2, 4])),
        finial=str(rng.choice(FINIALS)),
        parapet=str(rng.choice(["none", "none", "battlements", "balustrade", "steps"])),
        bands=bool(rng.random() < 0.5),
    )


def arc(cx, cy, rx, ry, start: float, stop: float, count: int = 20) -> np.ndarray:
    """Returns points `(count, 2)` of an ellipse from angle `start` to `stop`, in half turns."""
    angles = np.linspace(start, stop, count) * np.pi
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


def rectangle(x0, y0, x1, y1) -> np.ndarray:
    """Returns the corners `(4, 2)` of an upright rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


class Canvas:
    """One flat sheet of a landmark, standing at `depth` in front of its main plane.

    Attributes:
      rgba: `(SHEET_SIDE, SHEET_SIDE, 4)` uint8, RGB and coverage.
      glass: `(SHEET_SIDE, SHEET_SIDE)` uint8, 255 where a window can be lit from inside.
      depth: distance towards the viewer, in widths of the sheet.
      thickness: how far the sheet's walls run backwards, in the same unit.
    """

    def __init__(self, depth: float = 0.0, thickness: float = 0.12):
        self.rgba = np.zeros((SHEET_SIDE, SHEET_SIDE, 4), np.uint8)
        self.glass = np.zeros((SHEET_SIDE, SHEET_SIDE), np.uint8)
        self.depth = depth
        self.thickness = thickness

    def fill(self, points, colour, glass: bool = False) -> None:
        """Fills the polygon `points`, `(n, 2)`, which also hides what was drawn there before."""
        fixed = [_to_pixels(points)]
        cv2.fillPoly(self.rgba, fixed, (*colour, 255), shift=_FRACTION_BITS)
        cv2.fillPoly(self.glass, fixed, 255 if glass else 0, shift=_FRACTION_BITS)

    def box(self, x0, y0, x1, y1, colour) -> None:
        """Fills an upright rectangle."""
        self.fill(rectangle(x0, y0, x1, y1), colour)

    def stroke(self, points, colour, width: float, closed: bool = False) -> None:
        """Draws the line through `points`, `(n, 2)`, `width` thick in widths of the sheet."""
        pixels = max(1, round(width * SHEET_SIDE))
        fixed = [_to_pixels(points)]
        cv2.polylines(self.rgba, fixed, closed, (*colour, 255), pixels, shift=_FRACTION_BITS)
        cv2.polylines(self.glass, fixed, closed, 0, pixels, shift=_FRACTION_BITS)


def _to_pixels(points) -> np.ndarray:
    points = np.asarray(points, np.float64)
    pixels = np.stack([points[:, 0] + 0.5, 1.0 - points[:, 1]], axis=1) * SHEET_SIDE
    return np.round(pixels * 2**_FRACTION_BITS).astype(np.int32)
