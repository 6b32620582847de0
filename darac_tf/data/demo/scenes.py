"""Draws one landmark: which kind, with which attributes, on which sheets."""

from dataclasses import dataclass

import cv2
import numpy as np

from darac_tf.data.demo import arches, palaces, temples, towers
from darac_tf.data.demo.canvas import Canvas, draw_style

_KINDS = (
    palaces.palace,
    temples.church,
    temples.domed,
    temples.pagoda,
    palaces.castle,
    temples.mosque,
    palaces.arena,
    towers.tower,
    arches.bridge,
    arches.triumphal_arch,
    towers.monument,
    towers.lattice_tower,
    palaces.skyscraper,
    towers.lighthouse,
)


@dataclass(frozen=True)
class Sheet:
    """One flat part of a landmark, ready to be seen in perspective.

    Attributes:
      rgb: `(height, width, 3)` float32 in 0..255, already multiplied by `coverage`.
      coverage: `(height, width)` float32 in 0..1.
      glass: `(height, width)` float32 in 0..1, how much of the pixel is window.
      box: `(left, right, bottom, top)` of the pixels in the canvas' coordinates.
      depth: distance in front of the landmark's main plane, in widths of the canvas.
      thickness: how far its walls run backwards, in widths of the canvas.
    """

    rgb: np.ndarray
    coverage: np.ndarray
    glass: np.ndarray
    box: tuple[float, float, float, float]
    depth: float
    thickness: float


@dataclass(frozen=True)
class Landmark:
    """A drawn landmark.

    Attributes:
      sheets: back to front.
      box: `(left, right, bottom, top)` of all sheets together, in the canvas' coordinates.
    """

    sheets: tuple[Sheet, ...]
    box: tuple[float, float, float, float]


def draw_landmark(rng: np.random.Generator, side: int) -> Landmark:
    """Draws a landmark that depends on `rng` alone.

    Args:
      rng: the source of all its attributes.
      side: side of a whole canvas in the sheets' pixels; more than `SHEET_SIDE` adds no detail.

    Returns:
      The landmark.
    """
    kind = _KINDS[rng.integers(len(_KINDS))]
    canvases = [canvas for canvas in kind(rng, draw_style(rng)) if canvas.rgba[..., 3].any()]
    sheets = tuple(_reduce(canvas, side) for canvas in canvases)
    left, right, bottom, top = np.transpose([sheet.box for sheet in sheets])
    return Landmark(sheets, (left.min(), right.max(), bottom.min(), top.max()))


def _reduce(canvas: Canvas, side: int) -> Sheet:
    """Averages a canvas down to `side` pixels, which also smooths its edges, and crops it."""
    # Bare canvas is black: averages come out multiplied by coverage, without a dark fringe.
    planes = cv2.resize(canvas.rgba, (side, side), interpolation=cv2.INTER_AREA)
    glass = cv2.resize(canvas.glass, (side, side), interpolation=cv2.INTER_AREA)
    columns = np.flatnonzero(planes[..., 3].any(axis=0))
    rows = np.flatnonzero(planes[..., 3].any(axis=1))
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    planes = planes[y0:y1, x0:x1].astype(np.float32)
    glass = glass[y0:y1, x0:x1].astype(np.float32) / 255
    return Sheet(
        rgb=planes[..., :3].copy(),
        coverage=planes[..., 3] / 255,
        glass=glass,
        box=(x0 / side - 0.5, x1 / side - 0.5, 1 - y1 / side, 1 - y0 / side),
        depth=canvas.depth,
        thickness=canvas.thickness,
    )
