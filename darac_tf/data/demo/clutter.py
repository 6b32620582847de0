"""What surrounds a generated landmark and stands in front of it, different in every view.

Images are `(side, side, 3)` uint8, RGB, drawn on in place; lengths are shares of the side.
"""

import cv2
import numpy as np

from darac_tf.data.demo.canvas import ROOFS, WALLS, shade
from darac_tf.data.demo.light import Light

_LEAVES = ((58, 98, 44), (84, 120, 56), (46, 80, 50), (140, 104, 48))
_GROUNDS = ((128, 124, 118), (150, 140, 120), (96, 128, 72), (176, 170, 160), (92, 116, 134))
_CLOTHES = ((150, 40, 40), (40, 60, 120), (40, 40, 44), (210, 200, 180), (60, 110, 70))


def draw_backdrop(rng: np.random.Generator, side: int, horizon: float, light: Light) -> np.ndarray:
    """Draws sky, ground and a skyline of other buildings and trees around the horizon.

    Args:
      rng: the source of all choices.
      side: side of the image in pixels.
      horizon: height of the horizon in pixels from the top.
      light: the light of the view.

    Returns:
      The image, `(side, side, 3)` uint8.
    """
    zenith, low = np.array(light.zenith, np.float32), np.array(light.horizon, np.float32)
    rows = np.arange(side, dtype=np.float32)[:, None, None]
    share = np.clip(rows / max(horizon, 1.0), 0, 1) ** np.float32(rng.uniform(0.7, 1.6))
    image = np.broadcast_to(zenith + (low - zenith) * share, (side, side, 3)).copy()
    if rng.random() < 0.7:
        _add_clouds(rng, image, low)
    ground = np.array(light.on(_GROUNDS[rng.integers(len(_GROUNDS))]), np.float32)
    below = rows > horizon
    near = np.clip((rows - horizon) / max(side - horizon, 1.0), 0, 1)
    image = np.where(below, ground * (0.8 + 0.35 * near), image)
    image = np.clip(image, 0, 255).astype(np.uint8)
    _add_paving(rng, image, horizon, shade(ground, 0.86))
    for _ in range(int(rng.integers(0, 6))):
        _add_building(rng, image, horizon, light)
    for _ in range(int(rng.integers(0, 5))):
        _add_tree(
            rng,
            image,
            rng.uniform(0, 1) * side,
            horizon + 0.02 * side,
            rng.uniform(0.08, 0.25) * side,
            light,
        )
    return image


def _add_clouds(rng, image, colour) -> None:
    side = image.shape[0]
    grid = rng.random((int(rng.integers(4, 9)), int(rng.integers(3, 6))), dtype=np.float32)
    cover = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    cover = np.clip(cover * 2 - np.float32(rng.uniform(0.8, 1.4)), 0, 1)[..., None]
    image += (np.minimum(colour * 1.12, 255) - image) * cover * np.float32(0.8)


def _add_paving(rng, image, horizon, colour) -> None:
    """Draws lines of paving that meet on the horizon."""
    side = image.shape[0]
    if rng.random() < 0.4:
        return
    vanishing = rng.uniform(0, 1) * side
    for x in np.arange(-2.0, 3.0, rng.uniform(0.15, 0.5)) * side:
        cv2.line(image, (int(vanishing), int(horizon)), (int(x), side), colour, 1, cv2.LINE_AA)


def _add_building(rng, image, horizon, light) -> None:
    """Adds one plain building of the skyline, with or without a roof and windows."""
    side = image.shape[0]
    x0, width = int(rng.uniform(-0.15, 1) * side), int(rng.uniform(0.08, 0.3) * side)
    base, height = int(horizon + rng.uniform(0, 0.03) * side), int(rng.uniform(0.06, 0.4) * side)

    def far(colour):
        """A colour in the view's light, with haze."""
        lit, haze = np.array(light.on(colour)), np.array(light.horizon)
        return tuple(int(c) for c in lit + (haze - lit) * min(1.0, light.haze * 1.6))

    wall = WALLS[rng.integers(len(WALLS))]
    top = base - height
    cv2.rectangle(image, (x0, top), (x0 + width, base), far(shade(wall, 0.9)), -1)
    if rng.random() < 0.5:
        peak = (x0 + int(rng.uniform(0.2, 0.8) * width), top - int(0.4 * width))
        triangle = np.array([(x0, top), (x0 + width, top), peak], np.int32)
        cv2.fillConvexPoly(image, triangle, far(ROOFS[rng.integers(len(ROOFS))]), cv2.LINE_AA)
    pitch = max(4, int(rng.uniform(0.025, 0.06) * side))
    dark, bright = far((60, 66, 78)), (240, 200, 120)
    for y in range(top + pitch // 2, base - pitch, pitch):
        for x in range(x0 + pitch // 2, x0 + width - pitch // 2, pitch):
            glass = bright if rng.random() < light.lit else dark
            cv2.rectangle(image, (x, y), (x + pitch // 3, y + pitch // 2), glass, -1)


def _add_tree(rng, image, x, base, height, light) -> None:
    """Adds a tree `height` pixels high: a trunk under a heap of leaves, or bare branches."""
    trunk = light.on((84, 62, 46))
    foot, fork = (int(x), int(base)), (int(x), int(base - 0.45 * height))
    cv2.line(image, foot, fork, trunk, max(1, int(0.06 * height)), cv2.LINE_AA)
    if rng.random() < 0.15:
        for turn in rng.uniform(-0.9, 0.9, 9):
            reach = height * rng.uniform(0.3, 0.55)
            tip = (int(x + reach * np.sin(turn)), int(fork[1] - reach * np.cos(turn)))
            cv2.line(image, fork, tip, trunk, max(1, int(0.02 * height)), cv2.LINE_AA)
        return
    leaves = _LEAVES[rng.integers(len(_LEAVES))]
    count = 16
    offsets = rng.normal(0, 0.14, (count, 2)) * height
    radii = rng.uniform(0.08, 0.17, count) * height
    for (dx, dy), radius, tone in zip(offsets, radii, np.linspace(0.65, 1.2, count), strict=True):
        centre = (int(x + dx), int(base - 0.66 * height + dy))
        cv2.circle(image, centre, int(radius), light.on(shade(leaves, tone)), -1, cv2.LINE_AA)


def _add_person(rng, image, x, base, height, light) -> None:
    clothes = light.on(_CLOTHES[rng.integers(len(_CLOTHES))])
    legs = light.on((48, 46, 52))
    half = max(1, int(0.12 * height))
    x, base = int(x), int(base)
    cv2.line(image, (x, base), (x, int(base - 0.45 * height)), legs, half, cv2.LINE_AA)
    body = (x - half, int(base - 0.84 * height)), (x + half, int(base - 0.4 * height))
    cv2.rectangle(image, *body, clothes, -1)
    head = (x, int(base - 0.92 * height))
    cv2.circle(image, head, max(1, int(0.09 * height)), light.on((214, 168, 140)), -1, cv2.LINE_AA)


def _add_car(rng, image, x, base, length, light) -> None:
    paint = light.on(_CLOTHES[rng.integers(len(_CLOTHES))])
    profile = np.array(
        [
            (0, 0.1),
            (0, 0.26),
            (0.2, 0.28),
            (0.34, 0.44),
            (0.7, 0.44),
            (0.84, 0.27),
            (1, 0.24),
            (1, 0.1),
        ]
    )
    points = np.round((x, base) + profile * (length, -length)).astype(np.int32)
    cv2.fillPoly(image, [points], paint, cv2.LINE_AA)
    pane = (int(x + 0.36 * length), int(base - 0.4 * length))
    corner = (int(x + 0.68 * length), int(base - 0.29 * length))
    cv2.rectangle(image, pane, corner, light.on((150, 170, 184)), -1)
    for wheel in (0.22, 0.78):
        hub = (int(x + wheel * length), int(base - 0.09 * length))
        cv2.circle(image, hub, max(1, int(0.09 * length)), (24, 24, 26), -1, cv2.LINE_AA)


def _add_lamp(rng, image, x, base, height, light) -> None:
    top = (int(x), int(base - height))
    cv2.line(image, (int(x), int(base)), top, light.on((52, 54, 58)), max(1, int(0.02 * height)))
    glow = (255, 226, 160) if light.lit > 0.3 else light.on((220, 220, 214))
    cv2.circle(image, top, max(2, int(0.05 * height)), glow, -1, cv2.LINE_AA)


def add_foreground(rng: np.random.Generator, image: np.ndarray, base: float, light: Light) -> None:
    """Puts people, cars, lamp posts and trees before the landmark, which stands at row `base`."""
    side = image.shape[0]
    foot = min(base, 0.97 * side)

    def place():
        """Where something stands: anywhere across, on the ground in front of the landmark."""
        return rng.uniform(0, 1) * side, foot + rng.uniform(0.01, 0.12) * side

    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 3))):
            edge = rng.uniform(0, 0.22)
            x = (edge if rng.random() < 0.5 else 1 - edge) * side
            _add_tree(rng, image, x, place()[1], rng.uniform(0.25, 0.55) * side, light)
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.4 else 0):
        _add_lamp(rng, image, *place(), rng.uniform(0.2, 0.5) * side, light)
    for _ in range(int(rng.integers(1, 3)) if rng.random() < 0.4 else 0):
        _add_car(rng, image, *place(), rng.uniform(0.15, 0.3) * side, light)
    for _ in range(int(rng.integers(1, 9)) if rng.random() < 0.5 else 0):
        _add_person(rng, image, *place(), rng.uniform(0.07, 0.2) * side, light)
