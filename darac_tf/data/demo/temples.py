"""Generated landmarks to worship in: churches, domed temples, pagodas, mosques.

Every public function takes a generator and a style and returns the sheets of one landmark, back to
front.
"""

import numpy as np

from darac_tf.data.demo.canvas import Canvas, Style, shade
from darac_tf.data.demo.parts import (
    columns,
    finial,
    gateway,
    parapet,
    pediment,
    roof,
    roundel,
    steps,
    turret,
    windows,
)
from darac_tf.data.demo.walls import wall


def church(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """A gabled front with no, one or two towers, a rose window or a clock, and portals."""
    half, height = rng.uniform(0.15, 0.27), rng.uniform(0.28, 0.46)
    main, towers = Canvas(), Canvas(0.05, 0.16)
    wall(main, style, -half, 0, half, height)
    gable = rng.uniform(0.12, 0.3)
    if rng.random() < 0.6:
        pediment(main, style, -half, half, height, gable)
    else:
        roof(main, style, style.roof_shape, -half, half, height, gable)
    bays = int(rng.integers(2, 5))
    windows(main, style, -half, 0.4 * height, half, 0.72 * height, bays, 1)
    spokes = int(rng.choice([0, 6, 8, 12]))
    roundel(main, style, 0, height * rng.uniform(0.82, 1.0), rng.uniform(0.04, 0.08), spokes)
    portal = rng.uniform(0.08, 0.13)
    shape = str(rng.choice(["arch", "pointed", "rectangle"]))
    gateway(main, style, 0, portal, 0.36 * height, shape)
    if rng.random() < 0.5:
        for cx in (-0.6 * half, 0.6 * half):
            gateway(main, style, cx, 0.6 * portal, 0.24 * height, shape)
    sides = ((-1, 1), (-1,), (1,), (0,))[rng.integers(4)]
    width, tall = rng.uniform(0.11, 0.17), rng.uniform(0.42, 0.62)
    floors, cap = int(rng.integers(2, 5)), rng.uniform(0.14, 0.36)
    if sides == (0,):
        towers = Canvas(-0.1, 0.12)
    for side in sides:
        cx = side * (half + 0.4 * width)
        turret(towers, style, cx, 0, width, tall, int(rng.integers(1, 3)), floors)
        roof(towers, style, style.cap_shape, cx - width / 2, cx + width / 2, tall, cap)
    return [towers, main] if sides == (0,) else [main, towers]


def domed(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """A base with a portico, a drum and a large dome, with lesser domes beside it."""
    half, height = rng.uniform(0.3, 0.46), rng.uniform(0.2, 0.34)
    back, main, front = Canvas(-0.14, 0.2), Canvas(), Canvas(0.09, 0.08)
    drum, drum_top = half * rng.uniform(0.35, 0.62), height + rng.uniform(0.06, 0.18)
    shape = str(rng.choice(["dome", "onion", "helmet", "bell", "dome"]))
    wall(back, style, -drum, 0, drum, drum_top)
    windows(back, style, -drum, height, drum, drum_top, int(rng.integers(4, 9)), 1)
    roof(back, style, shape, -drum, drum, drum_top, drum * rng.uniform(0.9, 1.4))
    pairs = int(rng.integers(0, 3))
    for side in (-1, 1):
        for pair in range(pairs):
            cx, width = side * half * (0.9 - 0.4 * pair), 0.28 * half
            top = height + 0.04 + 0.05 * pair
            wall(back, style, cx - width / 2, 0, cx + width / 2, top)
            roof(back, style, shape, cx - width / 2, cx + width / 2, top, 0.7 * width)
    wall(main, style, -half, 0, half, height)
    windows(
        main, style, -half, 0.02, half, height, int(rng.integers(5, 11)), int(rng.integers(1, 4))
    )
    parapet(main, style, -half, half, height)
    centre = half * rng.uniform(0.28, 0.5)
    base = steps(front, style, -centre, centre, int(rng.integers(2, 6)))
    columns(front, style, -centre, base, centre, 0.8 * height, int(rng.integers(3, 9)))
    if rng.random() < 0.65:
        pediment(front, style, -centre, centre, 0.8 * height + 0.03, rng.uniform(0.06, 0.13))
    return [back, main, front]


def pagoda(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """Storeys under swept eaves, each narrower than the one below."""
    tiers = int(rng.integers(3, 8))
    half, taper = rng.uniform(0.13, 0.26), rng.uniform(0.35, 0.8)
    total, overhang = rng.uniform(0.5, 0.72), rng.uniform(1.25, 1.7)
    eave, upturn = rng.uniform(0.3, 0.5), rng.uniform(0.0, 0.4)
    main = Canvas(0.0, 0.2)
    base = steps(main, style, -1.5 * half, 1.5 * half, int(rng.integers(2, 6)))
    pitch = (total - base) / tiers
    bays = int(rng.integers(2, 6))
    for tier in range(tiers):
        x = half * (1 - taper * tier / tiers)
        y = base + tier * pitch
        eaves_y, top = y + (1 - eave) * pitch, y + pitch * (1.6 if tier == tiers - 1 else 1.0)
        wall(main, style, -x, y, x, top if tier < tiers - 1 else eaves_y)
        windows(main, style, -x, y, x, eaves_y, bays, 1)
        wide, tip = overhang * x, eaves_y + upturn * (top - eaves_y)
        curve = np.linspace(0, 1, 9)
        side = np.stack(
            [wide + (0.8 * x - wide) * curve, tip + (top - tip) * curve ** (1 + 2 * upturn)], axis=1
        )
        under = np.stack([0.7 * wide * np.array([1, -1]), np.full(2, eaves_y)], axis=1)
        outline = np.concatenate([side[::-1], under, side * (-1, 1)])
        main.fill(outline, style.roof)
        main.stroke(
            np.concatenate([side[:1], under, side[:1] * (-1, 1)]), shade(style.roof, 0.6), 0.008
        )
    gateway(main, style, 0, 0.5 * half, 0.55 * pitch, "rectangle", base)
    finial(main, style, 0, top, rng.uniform(0.05, 0.14))
    return [main]


def mosque(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """A tall framed arch between rows of niches, a dome behind, minarets beside."""
    back, main, front = Canvas(-0.18, 0.2), Canvas(), Canvas(0.06, 0.1)
    half, height = rng.uniform(0.26, 0.36), rng.uniform(0.2, 0.32)
    drum, top = rng.uniform(0.1, 0.19), height + rng.uniform(0.08, 0.16)
    wall(back, style, -drum, 0, drum, top)
    shape = str(rng.choice(["onion", "dome"]))
    roof(back, style, shape, -drum, drum, top, drum * rng.uniform(1.1, 1.6))
    wall(main, style, -half, 0, half, height)
    windows(
        main, style, -half, 0.02, half, height, int(rng.integers(5, 10)), int(rng.integers(1, 3))
    )
    parapet(main, style, -half, half, height)
    portal, tall = rng.uniform(0.08, 0.14), height * rng.uniform(1.15, 1.5)
    wall(front, style, -portal, 0, portal, tall)
    niche = str(rng.choice(["pointed", "horseshoe", "ogee", "arch"]))
    gateway(front, style, 0, 1.35 * portal, 0.72 * tall, niche)
    width, top = rng.uniform(0.035, 0.065), rng.uniform(0.5, 0.75)
    galleries = int(rng.integers(1, 4))
    pairs = int(rng.choice([0, 1, 1, 2]))
    for sheet, share in ((front, 1.0), (main, 0.6))[:pairs]:
        for cx in (-share * (half + 0.05), share * (half + 0.05)):
            _minaret(sheet, style, cx, width, top, galleries)
    return [back, main, front]


def _minaret(canvas, style, cx, width, top, galleries) -> None:
    """Draws a thin tapering tower with galleries."""
    x0, x1 = cx - width / 2, cx + width / 2
    wall(canvas, style, x0, 0, x1, top, 0.1)
    for gallery in range(galleries):
        y = top * (1 - 0.24 * gallery)
        canvas.box(cx - 0.9 * width, y - 0.02, cx + 0.9 * width, y, style.trim)
    roof(canvas, style, style.cap_shape, x0, x1, top, 2 * width)
