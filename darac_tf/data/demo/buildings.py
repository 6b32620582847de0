"""The kinds of landmarks: each draws the sheets of one building, back to front."""

import numpy as np

from darac_tf.data.demo.drawing import Canvas, draw_style


def draw_building(rng):
    """Draws one landmark that depends on `rng` alone: a list of `Canvas`, back to front."""
    kind = _KINDS[rng.integers(len(_KINDS))]
    return [canvas for canvas in kind(rng, draw_style(rng)) if canvas.rgba[..., 3].any()]


def _palace(rng, style):
    """A long facade with a raised centre, and wings, a dome or a portico."""
    back, main, front = Canvas(style, -0.12), Canvas(style), Canvas(style, 0.07, 0.07)
    half, height = rng.uniform(0.34, 0.47), rng.uniform(0.24, 0.46)
    floors, bays = rng.integers(2, 5), rng.integers(5, 12)
    if rng.random() < 0.4:
        radius = rng.uniform(0.09, 0.16)
        back.wall(-radius, 0, radius, height + 0.12)
        back.roof(style.cap_shape, -radius, radius, height + 0.12, rng.uniform(0.12, 0.3))
    main.wall(-half, 0, half, height)
    main.windows(-half + 0.02, 0.03, half - 0.02, height - 0.02, bays, floors)
    if rng.random() < 0.6:
        main.roof(rng.choice(["hip", "mansard"]), -half, half, height, rng.uniform(0.06, 0.15))
    else:
        main.parapet(-half, half, height)
    centre, top = half * rng.uniform(0.22, 0.42), height * rng.uniform(1.0, 1.35)
    if rng.random() < 0.5:
        base = front.steps(-centre, centre, rng.integers(2, 6))
        front.columns(-centre, base, centre, top - 0.03, rng.integers(4, 9))
        front.pediment(-centre - 0.01, centre + 0.01, top, rng.uniform(0.07, 0.15))
    else:
        front.turret(0, 0, 2 * centre, top, rng.integers(2, 5), floors)
        front.roof(style.roof_shape, -centre, centre, top, rng.uniform(0.08, 0.22))
        front.gate(0, 0.5 * centre, 0.3 * top)
    if rng.random() < 0.5:
        wing, tall = half * rng.uniform(0.16, 0.28), height * rng.uniform(1.05, 1.5)
        for cx in (wing / 2 - half, half - wing / 2):
            front.turret(cx, 0, wing, tall, 2, floors + 1)
            front.roof(style.cap_shape, cx - wing / 2, cx + wing / 2, tall, 0.8 * wing)
    return [back, main, front]


def _church(rng, style):
    """A gabled front with no, one or two towers, a rose window, and portals."""
    main, towers = Canvas(style), Canvas(style, 0.05, 0.16)
    half, height, gable = rng.uniform(0.15, 0.27), rng.uniform(0.28, 0.46), rng.uniform(0.12, 0.3)
    main.wall(-half, 0, half, height)
    if rng.random() < 0.6:
        main.pediment(-half, half, height, gable)
    else:
        main.roof(style.roof_shape, -half, half, height, gable)
    main.windows(-half, 0.4 * height, half, 0.72 * height, rng.integers(2, 5), 1)
    spokes = int(rng.choice([4, 6, 8, 12]))
    main.rose(0, height * rng.uniform(0.82, 1.0), rng.uniform(0.04, 0.08), spokes)
    portal, shape = rng.uniform(0.08, 0.13), rng.choice(["arch", "pointed", "rectangle"])
    main.gate(0, portal, 0.36 * height, shape)
    if rng.random() < 0.5:
        for cx in (-0.6 * half, 0.6 * half):
            main.gate(cx, 0.6 * portal, 0.24 * height, shape)
    width, tall = rng.uniform(0.11, 0.17), rng.uniform(0.42, 0.62)
    floors, cap, bays = rng.integers(2, 5), rng.uniform(0.14, 0.36), rng.integers(1, 3)
    for side in ((-1, 1), (-1,), (1,), ())[rng.integers(4)]:
        cx = side * (half + 0.4 * width)
        towers.turret(cx, 0, width, tall, bays, floors)
        towers.roof(style.cap_shape, cx - width / 2, cx + width / 2, tall, cap)
    return [main, towers]


def _domed(rng, style):
    """A base with a portico, a drum and a large dome, and lesser domes or minarets beside it."""
    back, main, front = Canvas(style, -0.14, 0.2), Canvas(style), Canvas(style, 0.09, 0.08)
    half, height = rng.uniform(0.28, 0.44), rng.uniform(0.2, 0.34)
    drum, top = half * rng.uniform(0.35, 0.62), height + rng.uniform(0.06, 0.18)
    shape = rng.choice(["dome", "onion", "helmet", "bell"])
    back.wall(-drum, 0, drum, top)
    back.windows(-drum, height, drum, top, rng.integers(4, 9), 1)
    back.roof(shape, -drum, drum, top, drum * rng.uniform(0.9, 1.4))
    width, tall = 0.28 * half * rng.choice([0.4, 1.0]), height + rng.choice([0.04, 0.3])
    for cx in np.array([(), (-1, 1), (-1, -0.5, 0.5, 1)][rng.integers(3)]) * 0.95 * half:
        back.wall(cx - width / 2, 0, cx + width / 2, tall)
        back.roof(shape, cx - width / 2, cx + width / 2, tall, 0.9 * width)
    main.wall(-half, 0, half, height)
    main.windows(-half, 0.02, half, height, rng.integers(5, 11), rng.integers(1, 4))
    main.parapet(-half, half, height)
    centre = half * rng.uniform(0.28, 0.5)
    base = front.steps(-centre, centre, rng.integers(2, 6))
    front.columns(-centre, base, centre, 0.8 * height, rng.integers(3, 9))
    if rng.random() < 0.65:
        front.pediment(-centre, centre, 0.8 * height + 0.03, rng.uniform(0.06, 0.13))
    return [back, main, front]


def _pagoda(rng, style):
    """Storeys under swept eaves, each narrower than the one below."""
    main, tiers, bays = Canvas(style, 0.0, 0.2), rng.integers(3, 8), rng.integers(2, 6)
    half, taper = rng.uniform(0.13, 0.26), rng.uniform(0.35, 0.8)
    total, overhang, eave = rng.uniform(0.5, 0.72), rng.uniform(1.25, 1.7), rng.uniform(0.3, 0.5)
    base = main.steps(-1.5 * half, 1.5 * half, rng.integers(2, 6))
    pitch = (total - base) / tiers
    for tier in range(tiers):
        x, y = half * (1 - taper * tier / tiers), base + tier * pitch
        main.wall(-x, y, x, y + pitch)
        main.windows(-x, y, x, y + (1 - eave) * pitch, bays, 1)
        main.roof("flared", -overhang * x, overhang * x, y + (1 - eave) * pitch, pitch)
    main.gate(0, 0.5 * half, 0.55 * pitch, "rectangle", base)
    return [main]


def _castle(rng, style):
    """A curtain wall with a gate between towers of different heights."""
    back, main, front = Canvas(style, -0.16), Canvas(style), Canvas(style, 0.08, 0.16)
    half, height = rng.uniform(0.36, 0.46), rng.uniform(0.16, 0.28)

    def tower(canvas, cx, width, tall, bays):
        canvas.turret(cx, 0, width, tall, bays, rng.integers(2, 6))
        if rng.random() < 0.55:
            cap = width * rng.uniform(0.8, 1.8)
            canvas.roof(style.cap_shape, cx - 0.56 * width, cx + 0.56 * width, tall, cap)
        else:
            canvas.parapet(cx - 0.6 * width, cx + 0.6 * width, tall)

    keep = rng.uniform(-0.18, 0.18), rng.uniform(0.14, 0.36), rng.uniform(0.4, 0.62)
    tower(back, *keep, rng.integers(1, 5))
    main.wall(-half, 0, half, height)
    main.windows(-half, 0.4 * height, half, 0.9 * height, rng.integers(4, 10), 1)
    main.parapet(-half, half, height)
    for place in np.linspace(-1, 1, rng.integers(2, 6)):
        width, tall = rng.uniform(0.08, 0.15), height + rng.uniform(0.05, 0.25)
        tower(front, place * half * 0.9, width, tall, 1)
    main.gate(rng.uniform(-0.1, 0.1), 0.11, 0.62 * height)
    return [back, main, front]


def _tower(rng, style):
    """Tiers of shrinking width, each with windows and a cornice; a cap; perhaps a hall beside."""
    hall, main = Canvas(style, -0.06), Canvas(style, 0.04, 0.2)
    tiers, total = rng.integers(2, 6), rng.uniform(0.58, 0.74)
    half, shrink = rng.uniform(0.08, 0.15), rng.uniform(0.72, 0.97)
    if rng.random() < 0.5:
        side, height = rng.uniform(0.24, 0.4), rng.uniform(0.14, 0.26)
        hall.wall(-side, 0, side, height)
        hall.windows(-side, 0.02, side, height, rng.integers(5, 10), rng.integers(1, 3))
        hall.parapet(-side, side, height)
    y, shares = 0.0, rng.uniform(0.5, 1.5, tiers)
    for height in shares / shares.sum() * total:
        floors = max(1, round(height / rng.uniform(0.09, 0.2)))
        main.turret(0, y, 2 * half, height, rng.integers(1, 4), floors)
        y += height
        main.parapet(-half * 1.08, half * 1.08, y, 0.02)
        half *= shrink
    main.roof(style.cap_shape, -half, half, y, half * rng.uniform(0.9, 2.4))
    main.gate(0, 0.09, 0.1)
    return [hall, main]


def _bridge(rng, style):
    """A deck on arches, with towers or houses above it."""
    main, front = Canvas(style), Canvas(style, 0.04, 0.2)
    deck, spans, half = rng.uniform(0.2, 0.36), rng.integers(2, 7), 0.49
    span, pier = 2 * half / spans, rng.uniform(0.12, 0.3)
    kind, shape = rng.choice(["towers", "houses", "plain"]), rng.choice(["arch", "round"])
    main.wall(-half, 0, half, deck)
    for cx in -half + (np.arange(spans) + 0.5) * span:
        main.gate(cx, span * (1 - pier) / 1.3, 0.75 * deck, shape)
        if kind == "houses":
            tall = rng.uniform(0.08, 0.2)
            front.turret(cx, deck, 0.8 * span, tall, 2, 2)
            front.roof("gable", cx - 0.42 * span, cx + 0.42 * span, deck + tall, 0.3 * span)
    main.parapet(-half, half, deck, 0.025)
    place, tall = rng.uniform(0.22, 0.34), deck + rng.uniform(0.2, 0.4)
    width = rng.uniform(0.06, 0.1)
    floors, cap = rng.integers(3, 5), width * rng.uniform(0.4, 1.6)
    for cx in (-place, place) if kind == "towers" else ():
        front.turret(cx, 0, width, tall, 1, floors)
        front.roof(style.cap_shape, cx - width / 2, cx + width / 2, tall, cap)
    return [main, front]


_KINDS = (_palace, _church, _domed, _pagoda, _castle, _tower, _bridge)
