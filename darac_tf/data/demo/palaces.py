"""Generated landmarks to live and gather in: palaces, castles, arenas, skyscrapers.

Every public function takes a generator and a style and returns the sheets of one landmark, back to
front.
"""

from itertools import pairwise

import numpy as np

from darac_tf.data.demo.canvas import Canvas, Style, shade
from darac_tf.data.demo.parts import (
    columns,
    gateway,
    opening,
    parapet,
    pediment,
    roof,
    steps,
    turret,
    windows,
)
from darac_tf.data.demo.walls import wall


def palace(rng: np.random.Generator, style: Style) -> list[Canvas]:
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


def castle(rng: np.random.Generator, style: Style) -> list[Canvas]:
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


def arena(rng: np.random.Generator, style: Style) -> list[Canvas]:
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


def skyscraper(rng: np.random.Generator, style: Style) -> list[Canvas]:
    """One to three set-back towers of glass and ribs, with a slanted, stepped or pointed top."""
    podium, main = Canvas(0.06, 0.1), Canvas(0.0, 0.2)
    count = int(rng.integers(1, 4))
    width = rng.uniform(0.12, 0.22) / (1 + 0.35 * (count - 1))
    top = rng.uniform(0.5, 0.72)
    bays, floors = int(rng.integers(2, 5)), int(rng.integers(6, 14))
    crown = str(rng.choice(["slant", "steps", "spire", "round"]))
    pitch = width * rng.uniform(1.05, 1.5)
    for index in range(count):
        cx = (index - (count - 1) / 2) * pitch
        height = top * (1 if count < 3 or index == 1 else 0.78)
        turret(main, style, cx, 0, width, height, bays, floors)
        x0, x1 = cx - width / 2, cx + width / 2
        if crown == "slant":
            main.fill([(x0, height), (x1, height), (x1, height + width)], style.roof)
        elif crown == "round":
            roof(main, style, "barrel", x0, x1, height, 0.5 * width)
        elif crown == "spire":
            roof(main, style, "bell", x0, x1, height, 1.4 * width)
        else:
            for step in range(1, 4):
                inset, y = 0.12 * width * step, height + 0.035 * step
                main.box(x0 + inset, y - 0.036, x1 - inset, y, shade(style.wall, 1 - 0.08 * step))
    if count > 1:
        level = top * rng.uniform(0.35, 0.6)
        main.box(-pitch / 2, level, pitch / 2, level + 0.035, style.trim)
    reach, tall = rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.14)
    wall(podium, style, -reach, 0, reach, tall)
    windows(podium, style, -reach, 0.01, reach, tall, int(rng.integers(6, 14)), 1)
    return [main, podium]
