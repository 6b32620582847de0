"""Generated landmarks to pass over or under: bridges and triumphal arches.

Every public function takes a generator and a style and returns the sheets of one landmark, back to
front.
"""

import numpy as np

from darac_tf.data.demo.canvas import Canvas, Style, arc, shade
from darac_tf.data.demo.parts import (
    columns,
    gateway,
    opening_outline,
    parapet,
    roof,
    roundel,
    turret,
)
from darac_tf.data.demo.walls import wall


def bridge(rng: np.random.Generator, style: Style) -> list[Canvas]:
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
        _houses(rng, front, style, deck + thickness, half, spans)
        return [front, main]
    place, tall = rng.uniform(0.22, 0.34), deck + rng.uniform(0.22, 0.42)
    width = rng.uniform(0.06, 0.11)
    for cx in (-place, place):
        x0, x1 = cx - width / 2, cx + width / 2
        turret(front, style, cx, 0, width, tall, 1, int(rng.integers(3, 5)))
        roof(front, style, style.cap_shape, x0, x1, tall, width * rng.uniform(0.4, 1.6))
    if kind == "chains":
        _chains(main, style, place, deck + thickness, tall, half)
    return [main, front]


def _houses(rng, canvas, style, y, half, count) -> None:
    """Builds a house over every span."""
    span = 2 * half / count
    for index in range(count):
        cx, tall = -half + (index + 0.5) * span, rng.uniform(0.08, 0.2)
        turret(canvas, style, cx, y, 0.8 * span, tall, 2, 2)
        roof(canvas, style, "gable", cx - 0.42 * span, cx + 0.42 * span, y + tall, 0.3 * span)


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


def triumphal_arch(rng: np.random.Generator, style: Style) -> list[Canvas]:
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
