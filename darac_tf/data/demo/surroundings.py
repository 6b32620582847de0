"""What differs between the views of a landmark: light, backdrop, what stands before it, the photo.

Images are `(side, side, 3)`, RGB in 0..255; lengths are shares of the side.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from darac_tf.data.demo.drawing import WALLS, shade

_LEAVES = ((58, 98, 44), (84, 120, 56), (46, 80, 50), (140, 104, 48))
_GROUNDS = ((128, 124, 118), (150, 140, 120), (96, 128, 72), (176, 170, 160), (92, 116, 134))
_PAINTS = ((150, 40, 40), (40, 60, 120), (40, 40, 44), (210, 200, 180), (60, 110, 70))


@dataclass(frozen=True)
class Light:
    """The light of one view."""

    zenith: tuple  # colour of the sky above, RGB in 0..255
    horizon: tuple  # colour of the sky low down, RGB in 0..255
    ambient: float  # gain of the surroundings' colours
    subject: float  # gain of the landmark's colours; at night it is floodlit
    lit: float  # share of the windows lit from inside, 0..1
    haze: float  # share of the horizon's colour mixed into what is far away, 0..1
    tint: np.ndarray = (1, 1, 1)  # gain of each channel

    def on(self, colour):
        """A surface's RGB colour in the ambient light."""
        return shade(np.asarray(colour) * self.tint, self.ambient)


_HOURS = (
    (0.56, Light((70, 130, 205), (188, 214, 236), 1.0, 1.05, 0.0, 0.05)),  # day
    (0.26, Light((150, 156, 164), (196, 200, 204), 0.8, 0.84, 0.1, 0.12)),  # overcast
    (0.09, Light((86, 70, 128), (250, 160, 92), 0.62, 0.85, 0.45, 0.1)),  # dusk
    (0.06, Light((10, 12, 30), (38, 40, 70), 0.25, 0.8, 0.65, 0.04)),  # night
    (0.03, Light((190, 194, 198), (206, 208, 210), 0.85, 0.9, 0.15, 0.5)),  # fog
)


def draw_light(rng):
    """Draws a time of day and weather."""
    shares, lights = zip(*_HOURS, strict=True)
    light = lights[rng.choice(len(lights), p=shares)]
    return Light(**{**vars(light), "tint": np.exp(rng.normal(0, 0.07, 3))})


def draw_backdrop(rng, side, horizon, light):
    """Sky, ground and a skyline around the horizon, given in pixels from the top: uint8 image."""
    zenith, low = np.float32(light.zenith), np.float32(light.horizon)
    rows = np.arange(side, dtype=np.float32)[:, None, None]
    share = np.clip(rows / horizon, 0, 1) ** np.float32(rng.uniform(0.7, 1.6))
    image = np.broadcast_to(zenith + (low - zenith) * share, (side, side, 3)).copy()
    clouds = rng.random((rng.integers(4, 9), rng.integers(3, 6)), dtype=np.float32)
    clouds = cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC)[..., None]
    clouds = np.clip(clouds * 2 - np.float32(rng.uniform(0.8, 1.8)), 0, 1)
    image += (np.minimum(low * 1.12, 255) - image) * clouds * np.float32(0.8)
    ground = np.float32(light.on(_GROUNDS[rng.integers(len(_GROUNDS))]))
    near = np.clip((rows - horizon) / (side - horizon), 0, 1)
    image = np.where(rows > horizon, ground * (0.8 + 0.35 * near), image)
    image = np.clip(image, 0, 255).astype(np.uint8)
    vanishing = (int(rng.uniform(0, side)), int(horizon))
    for x in np.arange(-2.0, 3.0, rng.uniform(0.15, 0.5)) * side if rng.random() < 0.6 else ():
        cv2.line(image, vanishing, (int(x), side), shade(ground, 0.86), 1, cv2.LINE_AA)
    for _ in range(rng.integers(0, 6)):
        _add_house(rng, image, horizon, light)
    for _ in range(rng.integers(0, 5)):
        _add_tree(rng, image, rng.uniform(0, side), horizon, rng.uniform(0.08, 0.25) * side, light)
    return image


def add_foreground(rng, image, base, light):
    """Puts cars and trees before the landmark, which stands at row `base`, in place."""
    side = image.shape[0]

    def place():
        """Anywhere across, on the ground in front of the landmark."""
        return rng.uniform(0, side), min(base, 0.97 * side) + rng.uniform(0.01, 0.12) * side

    for _ in range(rng.integers(1, 3) if rng.random() < 0.4 else 0):
        edge = rng.uniform(0, 0.22) * side
        x = edge if rng.random() < 0.5 else side - edge
        _add_tree(rng, image, x, place()[1], rng.uniform(0.25, 0.55) * side, light)
    for _ in range(rng.integers(1, 5) if rng.random() < 0.6 else 0):
        _add_car(rng, image, *place(), rng.uniform(0.1, 0.3) * side, light)


def photograph(rng, image):
    """Takes the picture, uint8: exposure, white balance, contrast, blur and noise."""
    side = image.shape[0]
    corners = rng.uniform(0.75, 1.2, (2, 2)).astype(np.float32)
    image = image * cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
    image *= np.float32(np.exp(rng.normal(0, 0.07, 3) + rng.normal(-0.04, 0.12)))
    image *= np.float32(max(1.0, 36 / max(image.mean(), 4)))  # the dark is exposed for longer
    mean = image.mean()
    image = (image - mean) * np.float32(np.exp(rng.normal(0, 0.12))) + mean
    image += np.float32(rng.normal(0, 5))
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.1) * side / 160)
    image += rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, 5))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _add_house(rng, image, horizon, light):
    """One plain building of the skyline."""
    side = image.shape[0]
    x0, width = int(rng.uniform(-0.15, 1) * side), int(rng.uniform(0.08, 0.3) * side)
    base = int(horizon + rng.uniform(0, 0.03) * side)
    top = base - int(rng.uniform(0.06, 0.4) * side)

    def far(colour):
        """A colour in the view's light, with haze."""
        lit, haze = np.array(light.on(colour)), np.array(light.horizon)
        return shade(lit + (haze - lit) * min(1.0, light.haze * 1.6), 1)

    cv2.rectangle(image, (x0, top), (x0 + width, base), far(WALLS[rng.integers(len(WALLS))]), -1)
    pitch = max(4, int(rng.uniform(0.025, 0.06) * side))
    for y in range(top + pitch // 2, base - pitch, pitch):
        for x in range(x0 + pitch // 2, x0 + width - pitch // 2, pitch):
            glass = (240, 200, 120) if rng.random() < light.lit else far((60, 66, 78))
            cv2.rectangle(image, (x, y), (x + pitch // 3, y + pitch // 2), glass, -1)


def _add_tree(rng, image, x, base, height, light):
    """A tree `height` pixels high: a trunk under a heap of leaves."""
    foot, fork = (int(x), int(base)), (int(x), int(base - 0.45 * height))
    cv2.line(image, foot, fork, light.on((84, 62, 46)), max(1, int(0.06 * height)), cv2.LINE_AA)
    leaves = _LEAVES[rng.integers(len(_LEAVES))]
    for dx, dy in rng.normal(0, 0.14, (16, 2)) * height:
        colour = light.on(shade(leaves, rng.uniform(0.75, 1.25)))
        centre, radius = (int(x + dx), int(base - 0.68 * height + dy)), rng.uniform(0.08, 0.17)
        cv2.circle(image, centre, max(1, int(radius * height)), colour, -1, cv2.LINE_AA)


def _add_car(rng, image, x, base, length, light):
    paint = light.on(_PAINTS[rng.integers(len(_PAINTS))])
    body = np.array([(0, 0.1), (0, 0.27), (0.3, 0.44), (0.7, 0.44), (1, 0.24), (1, 0.1)])
    points = np.round((x, base) + body * (length, -length)).astype(np.int32)
    cv2.fillPoly(image, [points], paint, cv2.LINE_AA)
