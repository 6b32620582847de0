"""Generated landmarks with rooms: palaces, churches, temples, pagodas, castles, mosques, arenas.

Every function takes a generator and a style and returns the sheets of one landmark, back to front.
"""

from itertools import pairwise

import numpy as np

from darac_tf.data.landmark_canvas import Canvas, Style, shade
from darac_tf.data.landmark_parts import (
    columns,
    finial,
    gateway,
    opening,
    parapet,
    pediment,
    roof,
    roundel,
    steps,
    windows,
)
from darac_tf.data.landmark_walls import wall

Sheets = list[Canvas]


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


def palace(rng: np.random.Generator, style: Style) -> Sheets:
    """A long facade with a raised centre, and wings, a dome or a portico."""
    half = rng.uniform(0.34, 0.47)
    height = rng.uniform(0.24, 0.46)
    floors, bays = int(rng.integers(2, 5)), int(rng.integers(5, 12))
    back, main, front = Canvas(-0.12), Canvas(), Canvas(0.07, 0.07)
    if rng.random() < 0.4:
        radius = rng.uniform(0.09, 0.16)
        wall(back, style, -radius, 0, radius, height + 0.12)
        roof(back, style, style.cap_shape, -radius, radius, height + 0.12, rng.uniform(0.12, 0.3))
    wall(main, style, -half, 0, half, height)
    windows(main, style, -half + 0.02, 0.03, half - 0.02, height - 0.02, bays, floors)
    if rng.random() < 0.6:
        roof(
            main,
            style,
            str(rng.choice(["hip", "mansard"])),
            -half,
            half,
            height,
            rng.uniform(0.06, 0.15),
        )
    else:
        parapet(main, style, -half, half, height)
    centre, top = half * rng.uniform(0.22, 0.42), height * rng.uniform(1.0, 1.35)
    if rng.random() < 0.5:
        base = steps(front, style, -centre, centre, int(rng.integers(2, 6)))
        columns(front, style, -centre, base, centre, top - 0.03, int(rng.integers(4, 9)))
        pediment(front, style, -centre - 0.01, centre + 0.01, top, rng.uniform(0.07, 0.15))
    else:
        turret(front, style, 0, 0, 2 * centre, top, int(rng.integers(2, 5)), floors)
        roof(front, style, style.roof_shape, -centre, centre, top, rng.uniform(0.08, 0.22))
        gateway(front, style, 0, 0.5 * centre, 0.3 * top)
    if rng.random() < 0.5:
        wing, tall = half * rng.uniform(0.16, 0.28), height * rng.uniform(1.05, 1.5)
        for side in (-1, 1):
            cx = side * (half - wing / 2)
            turret(front, style, cx, 0, wing, tall, 2, floors + 1)
            roof(front, style, style.cap_shape, cx - wing / 2, cx + wing / 2, tall, 0.8 * wing)
    return [back, main, front]


def church(rng: np.random.Generator, style: Style) -> Sheets:
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


def domed(rng: np.random.Generator, style: Style) -> Sheets:
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


def pagoda(rng: np.random.Generator, style: Style) -> Sheets:
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


def castle(rng: np.random.Generator, style: Style) -> Sheets:
    """A curtain wall with a gate between towers of different heights."""
    back, main, front = Canvas(-0.16), Canvas(), Canvas(0.08, 0.16)
    half, height = rng.uniform(0.36, 0.46), rng.uniform(0.16, 0.28)
    keep, keep_top = rng.uniform(0.07, 0.18), rng.uniform(0.4, 0.62)
    cx = float(rng.uniform(-0.18, 0.18))
    turret(back, style, cx, 0, 2 * keep, keep_top, int(rng.integers(1, 5)), int(rng.integers(3, 6)))
    _crown(rng, back, style, cx, 2 * keep, keep_top)
    wall(main, style, -half, 0, half, height)
    windows(main, style, -half, 0.4 * height, half, 0.9 * height, int(rng.integers(4, 10)), 1)
    parapet(main, style, -half, half, height)
    count = int(rng.integers(2, 6))
    for place in np.linspace(-1, 1, count):
        width, tall = rng.uniform(0.08, 0.15), height + rng.uniform(0.05, 0.25)
        turret(front, style, place * half * 0.9, 0, width, tall, 1, int(rng.integers(2, 5)))
        _crown(rng, front, style, place * half * 0.9, width, tall)
    gate = float(rng.uniform(-0.1, 0.1))
    gateway(front if count % 2 else main, style, gate, 0.11, 0.62 * height)
    return [back, main, front]


def _crown(rng, canvas, style, cx, width, y) -> None:
    """Tops a tower with a pointed cap or with battlements on a wider platform."""
    if rng.random() < 0.55:
        roof(
            canvas,
            style,
            style.cap_shape,
            cx - 0.56 * width,
            cx + 0.56 * width,
            y,
            width * rng.uniform(0.8, 1.8),
        )
        return
    half = 0.6 * width
    canvas.box(cx - half, y, cx + half, y + 0.03, shade(style.wall, 0.9))
    for merlon in np.linspace(-1, 1, 4):
        left = cx + merlon * 0.8 * half
        canvas.box(left - 0.16 * half, y + 0.03, left + 0.16 * half, y + 0.055, style.wall)


def mosque(rng: np.random.Generator, style: Style) -> Sheets:
    """A tall framed arch between rows of niches, a dome behind, minarets beside."""
    back, main, front = Canvas(-0.18, 0.2), Canvas(), Canvas(0.06, 0.1)
    half, height = rng.uniform(0.26, 0.36), rng.uniform(0.2, 0.32)
    drum, top = rng.uniform(0.1, 0.19), height + rng.uniform(0.08, 0.16)
    wall(back, style, -drum, 0, drum, top)
    roof(
        back,
        style,
        str(rng.choice(["onion", "dome"])),
        -drum,
        drum,
        top,
        drum * rng.uniform(1.1, 1.6),
    )
    wall(main, style, -half, 0, half, height)
    windows(
        main, style, -half, 0.02, half, height, int(rng.integers(5, 10)), int(rng.integers(1, 3))
    )
    parapet(main, style, -half, half, height)
    portal, tall = rng.uniform(0.08, 0.14), height * rng.uniform(1.15, 1.5)
    wall(front, style, -portal, 0, portal, tall)
    niche = str(rng.choice(["pointed", "horseshoe", "ogee", "arch"]))
    gateway(front, style, 0, 1.35 * portal, 0.72 * tall, niche)
    minaret, minaret_top = rng.uniform(0.035, 0.065), rng.uniform(0.5, 0.75)
    places = ((), (0.9,), (0.9,), (0.9, 0.55))[rng.integers(4)]
    galleries = int(rng.integers(1, 4))
    for place in places:
        sheet = main if place < 0.9 else front
        for side in (-1, 1):
            cx = side * (half + 0.05) * place / 0.9
            wall(sheet, style, cx - minaret / 2, 0, cx + minaret / 2, minaret_top, 0.1)
            for gallery in range(galleries):
                y = minaret_top * (1 - 0.24 * gallery)
                sheet.box(cx - 0.9 * minaret, y - 0.02, cx + 0.9 * minaret, y, style.trim)
            roof(
                sheet,
                style,
                style.cap_shape,
                cx - minaret / 2,
                cx + minaret / 2,
                minaret_top,
                2 * minaret,
            )
    return [back, main, front]


def arena(rng: np.random.Generator, style: Style) -> Sheets:
    """A round arena: rows of arches closing up towards its sides, one end perhaps in ruins."""
    main, front = Canvas(0.0, 0.3), Canvas(0.05, 0.1)
    half, floors = rng.uniform(0.34, 0.47), int(rng.integers(2, 5))
    floor, bays = rng.uniform(0.09, 0.14), int(rng.integers(7, 15))
    broken = int(rng.choice([0, 0, bays // 3, bays // 2, bays - 2]))
    from_left = rng.random() < 0.5
    edges = half * np.sin(np.linspace(-0.42, 0.42, bays + 1) * np.pi) / np.sin(0.42 * np.pi)
    shapes = rng.choice(["arch", "segment", "horseshoe", "pointed", "rectangle"], floors)
    for column, (x0, x1) in enumerate(pairwise(edges)):
        distance = column if from_left else bays - 1 - column
        rows = floors if distance >= broken else 1 + (floors - 1) * distance // broken
        wall(main, style, x0, 0, x1 + 0.002, rows * floor)
        for row in range(rows):
            width = (x1 - x0) * (0.6 if row < floors - 1 else 0.42)
            base, cx = row * floor + 0.012, (x0 + x1) / 2
            opening(main, style, cx, base, width, 0.68 * floor, str(shapes[row]))
            main.box(x0, (row + 1) * floor - 0.014, x1, (row + 1) * floor, style.trim)
    if rng.random() < 0.5:
        centre, top = rng.uniform(0.07, 0.13), floor * rng.uniform(1.2, floors + 0.5)
        wall(front, style, -centre, 0, centre, top)
        gateway(front, style, 0, centre, 0.8 * floor, str(shapes[0]))
        pediment(front, style, -1.1 * centre, 1.1 * centre, top, rng.uniform(0.05, 0.1))
    elif not broken:
        parapet(main, style, edges[bays // 3], edges[-1 - bays // 3], floors * floor, 0.03)
    return [main, front]
