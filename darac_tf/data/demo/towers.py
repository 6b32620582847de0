"""Generated landmarks that stand tall: towers, monuments, lattice towers, lighthouses, mills.

Every public function takes a generator and a style and returns the sheets of one landmark, back to
front.
"""

import numpy as np

from darac_tf.data.demo.canvas import Canvas, Style, arc, shade
from darac_tf.data.demo.parts import (
    columns,
    finial,
    gateway,
    parapet,
    roof,
    roundel,
    steps,
    turret,
    windows,
)
from darac_tf.data.demo.walls import wall


def tower(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """Tiers of shrinking width, each with windows and a cornice; a cap; perhaps a hall beside."""
    hall, main = Canvas(-0.06), Canvas(0.04, 0.2)
    tiers = int(rng.integers(2, 6))
    half, shrink = rng.uniform(0.08, 0.15), rng.uniform(0.72, 0.97)
    total = rng.uniform(0.58, 0.74)
    shares = rng.uniform(0.5, 1.5, tiers)
    if rng.random() < 0.5:
        side, height = rng.uniform(0.24, 0.4), rng.uniform(0.14, 0.26)
        wall(hall, style, -side, 0, side, height)
        bays, floors = int(rng.integers(5, 10)), int(rng.integers(1, 3))
        windows(hall, style, -side, 0.02, side, height, bays, floors)
        parapet(hall, style, -side, side, height)
    y, clock = 0.0, int(rng.integers(0, tiers + 2))
    for tier, height in enumerate(shares / shares.sum() * total):
        bays = int(rng.integers(1, 4))
        floors = max(1, round(height / rng.uniform(0.09, 0.2)))
        turret(main, style, 0, y, 2 * half, height, bays, floors)
        if tier == clock:
            roundel(main, style, 0, y + 0.55 * height, 0.5 * half, 0)
        y += height
        parapet(main, style, -half * 1.08, half * 1.08, y, 0.02)
        half *= shrink
    roof(main, style, style.cap_shape, -half, half, y, half * rng.uniform(0.9, 2.4))
    gateway(main, style, 0, 0.09, 0.1)
    return [hall, main]


def monument(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """An obelisk, a column or a globe on a stepped base, with a low wall or posts around it."""
    back, main = Canvas(-0.12, 0.05), Canvas(0.0, 0.08)
    half, count = rng.uniform(0.1, 0.22), int(rng.integers(3, 9))
    base = steps(main, style, -half, half, count, 0.018)
    block, shaft = base + rng.uniform(0.06, 0.16), rng.uniform(0.03, 0.06)
    wall(main, style, -0.6 * half, base, 0.6 * half, block)
    main.box(-0.66 * half, block - 0.015, 0.66 * half, block + 0.008, style.trim)
    top = rng.uniform(0.55, 0.82)
    kind = str(rng.choice(["obelisk", "column", "globe", "twin"]))
    if kind == "obelisk":
        wall(main, style, -shaft, block, shaft, top, rng.uniform(0.08, 0.22))
        roof(main, style, "gable", -shaft * 0.7, shaft * 0.7, top, 2 * shaft)
    elif kind == "twin":
        gap = rng.uniform(0.5, 0.9) * half
        for side in (-1, 1):
            wall(main, style, side * gap - 0.7 * shaft, base, side * gap + 0.7 * shaft, top, 0.1)
        main.box(-gap - shaft, 0.9 * top, gap + shaft, 0.9 * top + 0.05, style.trim)
    else:
        wall(main, style, -shaft, block, shaft, top, 0.06)
        for ring in range(int(rng.integers(0, 6))):
            y = block + (top - block) * (ring + 1) / 6.5
            main.box(-1.15 * shaft, y, 1.15 * shaft, y + 0.02, style.trim)
        main.box(-1.6 * shaft, top, 1.6 * shaft, top + 0.025, style.trim)
        if kind == "globe":
            radius = shaft * rng.uniform(1.2, 2.2)
            main.fill(arc(0, top + 0.02 + radius, radius, radius, 0, 2, 28), style.roof)
            main.stroke(arc(0, top + 0.02 + radius, radius, 0.3 * radius, 0, 2), style.trim, 0.006)
        finial(main, style, 0, top + 0.02, 0.13)
    reach = rng.uniform(0.3, 0.46)
    if rng.random() < 0.5:
        columns(back, style, -reach, 0.02, reach, rng.uniform(0.12, 0.28), int(rng.integers(7, 15)))
    return [back, main]


def lattice_tower(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """Curved iron legs joined by crossed braces and platforms."""
    main = Canvas(0.0, 0.1)
    colour, reach = shade(style.roof, 0.8), rng.uniform(0.1, 0.32)
    curve, total = rng.uniform(0.8, 3.2), rng.uniform(0.6, 0.8)
    levels, leg = int(rng.integers(4, 13)), rng.uniform(0.012, 0.024)
    heights = np.linspace(0, 1, levels + 1)
    outer = 0.018 + reach * (1 - heights) ** curve
    inner = outer * rng.uniform(0.35, 0.6)
    ys = heights * total
    for side in (-1, 1):
        for edge in (outer, inner):
            main.stroke(np.stack([side * edge, ys], axis=1), colour, leg)
        for low in range(levels):
            main.stroke(
                [(side * outer[low], ys[low]), (side * inner[low + 1], ys[low + 1])], colour, 0.008
            )
            main.stroke(
                [(side * inner[low], ys[low]), (side * outer[low + 1], ys[low + 1])], colour, 0.008
            )
    for level in rng.choice(np.arange(1, levels), int(rng.integers(1, 4)), replace=False):
        x, rise = rng.uniform(1.1, 1.7) * outer[level], rng.uniform(0.015, 0.06)
        main.box(-x, ys[level], x, ys[level] + rise, shade(style.trim, 0.9))
        windows(main, style, -x, ys[level], x, ys[level] + rise, int(rng.integers(3, 9)), 1)
    if rng.random() < 0.6:
        main.stroke(arc(0, 0.02, outer[0] * 0.62, rng.uniform(0.1, 0.2), 0, 1), colour, 0.014)
    head = rng.uniform(0.035, 0.09)
    roof(main, style, style.cap_shape, -head, head, total, head * rng.uniform(0.8, 2.0))
    base = Canvas(0.05, 0.1)
    if rng.random() < 0.5:
        side, tall = outer[0] * rng.uniform(0.8, 1.7), rng.uniform(0.06, 0.14)
        wall(base, style, -side, 0, side, tall)
        windows(base, style, -side, 0, side, tall, int(rng.integers(4, 10)), 1)
        parapet(base, style, -side, side, tall)
    return [main, base]


def lighthouse(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """A tapering tower with bands, a gallery and a lantern, or with the sails of a windmill."""
    cottage, main, sails = Canvas(-0.05, 0.2), Canvas(0.0, 0.14), Canvas(0.12, 0.02)
    half, top, taper = rng.uniform(0.09, 0.17), rng.uniform(0.42, 0.6), rng.uniform(0.1, 0.24)
    mill = rng.random() < 0.5
    wall(main, style, -half, 0, half, top, taper)
    bands = int(rng.choice([0, 3, 5, 7]))
    for band in range(0, bands, 2):
        low, high = band / bands, (band + 1) / bands
        left, right = half * (1 - 2 * taper * low), half * (1 - 2 * taper * high)
        main.fill(
            [(-left, low * top), (left, low * top), (right, high * top), (-right, high * top)],
            style.roof,
        )
    windows(main, style, -0.4 * half, 0.2 * top, 0.4 * half, 0.92 * top, 1, int(rng.integers(2, 5)))
    gateway(main, style, 0, 0.6 * half, 0.14 * top)
    neck = half * (1 - 2 * taper)
    main.box(-1.3 * neck, top, 1.3 * neck, top + 0.025, style.trim)
    lantern = top + (0.03 if mill else 0.09)
    main.fill(arc(0, top + 0.025, 0.8 * neck, lantern - top, 0, 1), style.glass, glass=True)
    main.box(-0.7 * neck, top + 0.025, 0.7 * neck, lantern, shade(style.glass, 1.4))
    roof(main, style, style.cap_shape, -0.95 * neck, 0.95 * neck, lantern, neck * 1.2)
    side, reach = float(rng.choice([-1, 1])), rng.uniform(0.12, 0.26)
    x0, x1 = sorted((side * 0.6 * half, side * (half + reach)))
    turret(cottage, style, (x0 + x1) / 2, 0, x1 - x0, 0.13, int(rng.integers(2, 5)), 1)
    roof(cottage, style, style.roof_shape, x0, x1, 0.13, rng.uniform(0.05, 0.12))
    if mill:
        _sails(
            sails,
            style,
            lantern,
            rng.uniform(0.24, 0.34),
            int(rng.choice([4, 4, 6])),
            rng.uniform(0, 0.5),
        )
    return [cottage, main, sails]


def _sails(canvas, style, y, length, count, turn) -> None:
    """Draws a wheel of `count` latticed sails around `(0, y)`."""
    dark = shade(style.roof, 0.55)
    for angle in (turn + np.arange(count) * 2 / count) * np.pi:
        along, across = (
            np.array([np.cos(angle), np.sin(angle)]),
            np.array([-np.sin(angle), np.cos(angle)]),
        )
        hub = np.array([0.0, y])
        canvas.stroke([hub, hub + length * along], dark, 0.012)
        edge = [
            hub + length * (0.2 * along),
            hub + length * (0.2 * along + 0.2 * across),
            hub + length * (along + 0.2 * across),
            hub + length * along,
        ]
        canvas.stroke(edge, dark, 0.006, closed=True)
        for share in np.linspace(0.3, 0.9, 6):
            canvas.stroke(
                [hub + length * share * along, hub + length * (share * along + 0.2 * across)],
                dark,
                0.004,
            )
