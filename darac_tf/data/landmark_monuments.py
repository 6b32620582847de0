"""Generated landmarks to walk round or across: towers, bridges, arches, obelisks, lighthouses.

Every function takes a generator and a style and returns the sheets of one landmark, back to front.
"""

import numpy as np

from darac_tf.data.landmark_buildings import Sheets, turret
from darac_tf.data.landmark_canvas import Canvas, Style, arc, shade
from darac_tf.data.landmark_parts import (
    columns,
    finial,
    gateway,
    opening_outline,
    parapet,
    roof,
    roundel,
    steps,
    windows,
)
from darac_tf.data.landmark_walls import wall


def tower(rng: np.random.Generator, style: Style) -> Sheets:
    """Tiers of shrinking width, each with windows and a cornice; a cap; perhaps a hall beside."""
    hall, main = Canvas(-0.06), Canvas(0.04, 0.2)
    tiers = int(rng.integers(2, 6))
    half, shrink = rng.uniform(0.08, 0.15), rng.uniform(0.72, 0.97)
    total = rng.uniform(0.58, 0.74)
    shares = rng.uniform(0.5, 1.5, tiers)
    if rng.random() < 0.5:
        side, height = rng.uniform(0.24, 0.4), rng.uniform(0.14, 0.26)
        wall(hall, style, -side, 0, side, height)
        windows(
            hall,
            style,
            -side,
            0.02,
            side,
            height,
            int(rng.integers(5, 10)),
            int(rng.integers(1, 3)),
        )
        parapet(hall, style, -side, side, height)
    y, clock = 0.0, int(rng.integers(0, tiers + 2))
    for tier, height in enumerate(shares / shares.sum() * total):
        turret(
            main,
            style,
            0,
            y,
            2 * half,
            height,
            int(rng.integers(1, 4)),
            max(1, round(height / rng.uniform(0.09, 0.2))),
        )
        if tier == clock:
            roundel(main, style, 0, y + 0.55 * height, 0.5 * half, 0)
        y += height
        parapet(main, style, -half * 1.08, half * 1.08, y, 0.02)
        half *= shrink
    roof(main, style, style.cap_shape, -half, half, y, half * rng.uniform(0.9, 2.4))
    gateway(main, style, 0, 0.09, 0.1)
    return [hall, main]


def bridge(rng: np.random.Generator, style: Style) -> Sheets:
    """A deck on arches, with towers, chains or houses above it."""
    main, front = Canvas(0.0, 0.12), Canvas(0.04, 0.2)
    deck, spans = rng.uniform(0.16, 0.3), int(rng.integers(2, 7))
    thickness, half = rng.uniform(0.035, 0.07), 0.49
    span = 2 * half / spans
    kind = str(rng.choice(["towers", "chains", "houses", "plain"]))
    shape = str(rng.choice(["arch", "segment", "pointed"]))
    wall(main, style, -half, 0, half, deck + thickness)
    pier = rng.uniform(0.12, 0.3)
    for index in range(spans):
        cx = -half + (index + 0.5) * span
        for margin, colour in ((0.03, style.trim), (0.0, (70, 84, 92))):
            outline = opening_outline(shape, cx, 0, span * (1 - pier) + margin, deck + margin / 2)
            main.fill(outline, colour)
    parapet(main, style, -half, half, deck + thickness, 0.025)
    if kind == "plain":
        return [main]
    if kind == "houses":
        for index in range(spans):
            cx, tall = -half + (index + 0.5) * span, rng.uniform(0.08, 0.2)
            turret(front, style, cx, deck + thickness, 0.8 * span, tall, 2, 2)
            roof(
                front,
                style,
                "gable",
                cx - 0.42 * span,
                cx + 0.42 * span,
                deck + thickness + tall,
                0.3 * span,
            )
        return [front, main]
    place, tall = rng.uniform(0.22, 0.34), deck + rng.uniform(0.22, 0.42)
    width = rng.uniform(0.06, 0.11)
    for side in (-1, 1):
        turret(front, style, side * place, 0, width, tall, 1, int(rng.integers(3, 5)))
        roof(
            front,
            style,
            style.cap_shape,
            side * place - width / 2,
            side * place + width / 2,
            tall,
            width * rng.uniform(0.4, 1.6),
        )
    if kind == "chains":
        _chains(main, style, place, deck + thickness, tall, half)
    return [main, front]


def _chains(canvas, style, place, deck, tall, half) -> None:
    """Hangs the deck from chains between the towers and down to both ends."""
    dark = shade(style.trim, 0.5)
    xs = np.linspace(-half, half, 41)
    inner = deck + 0.03 + (tall - deck - 0.03) * (xs / place) ** 2
    outer = tall - (tall - deck) * np.clip((np.abs(xs) - place) / (half - place), 0, 1) ** 0.7
    ys = np.where(np.abs(xs) < place, inner, outer)
    canvas.stroke(np.stack([xs, ys], axis=1), dark, 0.01)
    for x, y in zip(xs[::2], ys[::2], strict=True):
        canvas.stroke([(x, deck), (x, y)], dark, 0.004)


def triumphal_arch(rng: np.random.Generator, style: Style) -> Sheets:
    """A block pierced by one or three openings, with columns, an attic and statues."""
    statues, main, front = Canvas(-0.08, 0.02), Canvas(0.0, 0.2), Canvas(0.04, 0.06)
    half, height = rng.uniform(0.22, 0.4), rng.uniform(0.32, 0.52)
    attic, openings = rng.uniform(0.08, 0.17), int(rng.choice([1, 3, 3]))
    shape = str(rng.choice(["arch", "arch", "rectangle", "pointed"]))
    wall(main, style, -half, 0, half, height + attic)
    main.box(-half - 0.02, height - 0.02, half + 0.02, height + 0.012, style.trim)
    centre = half * (0.5 if openings == 3 else rng.uniform(0.6, 0.95))
    gateway(main, style, 0, centre, height * rng.uniform(0.68, 0.82), shape)
    if openings == 3:
        for side in (-1, 1):
            gateway(main, style, side * 0.66 * half, 0.26 * half, height * 0.55, shape)
            roundel(main, style, side * 0.66 * half, 0.78 * height, 0.025, 6)
    if rng.random() < 0.7:
        for side in (-1, 1):
            for cx in (0.92, 0.4) if openings == 3 else (0.9, 0.68):
                x = side * cx * half
                columns(front, style, x - 0.025, 0.04, x + 0.025, height - 0.03, 1)
    panel = 0.6 * half
    main.box(-panel, height + 0.25 * attic, panel, height + 0.8 * attic, shade(style.wall, 0.72))
    parapet(main, style, -half, half, height + attic, 0.02)
    top = height + attic + 0.02
    for x in np.linspace(-0.75, 0.75, int(rng.integers(1, 5))) * half:
        statues.fill([(x - 0.03, top), (x + 0.03, top), (x, top + 0.11)], shade(style.trim, 0.7))
        statues.fill(arc(x, top + 0.11, 0.016, 0.016, 0, 2, 12), shade(style.trim, 0.7))
    return [statues, main, front]


def monument(rng: np.random.Generator, style: Style) -> Sheets:
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


def lattice_tower(rng: np.random.Generator, style: Style) -> Sheets:
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


def skyscraper(rng: np.random.Generator, style: Style) -> Sheets:
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


def lighthouse(rng: np.random.Generator, style: Style) -> Sheets:
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
