"""The light a generated view is taken in, and what the camera adds to it."""

from dataclasses import dataclass

import cv2
import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """The light of one view.

    Attributes:
      zenith, horizon: colours of the sky, RGB in 0..255.
      ambient: gains of the surroundings' colours, per channel.
      subject: gains of the landmark's colours; at night it is floodlit.
      lit: share of the windows lit from inside, 0..1.
      haze: share of the horizon's colour mixed into what is far away, 0..1.
      shadow: whether the sun is out, so that things cast shadows.
    """

    zenith: Colour
    horizon: Colour
    ambient: np.ndarray
    subject: np.ndarray
    lit: float
    haze: float
    shadow: bool

    def on(self, colour) -> tuple:
        """Returns a surface's RGB colour in the ambient light, in 0..255."""
        return tuple(int(c) for c in np.clip(np.asarray(colour) * self.ambient, 0, 255))


def draw_light(rng: np.random.Generator) -> Light:
    """Draws a time of day and weather: day, overcast, dusk, night or fog."""
    hour = str(
        rng.choice(["day", "overcast", "dusk", "night", "fog"], p=[0.56, 0.26, 0.09, 0.06, 0.03])
    )
    tint = np.exp(rng.normal(0, 0.06, 3))
    if hour == "day":
        return Light((70, 130, 205), (188, 214, 236), 1.0 * tint, 1.05 * tint, 0.0, 0.05, True)
    if hour == "overcast":
        return Light((150, 156, 164), (196, 200, 204), 0.8 * tint, 0.84 * tint, 0.1, 0.12, False)
    if hour == "dusk":
        warm = np.array([1.0, 0.78, 0.62]) * tint
        return Light((86, 70, 128), (250, 160, 92), 0.62 * warm, 0.85 * warm, 0.45, 0.1, True)
    if hour == "fog":
        return Light((190, 194, 198), (206, 208, 210), 0.85 * tint, 0.9 * tint, 0.15, 0.5, False)
    flood = np.array([(1.0, 0.86, 0.62), (0.8, 0.88, 1.0), (0.55, 0.55, 0.66)][rng.integers(3)])
    cold = np.array([0.2, 0.23, 0.36])
    return Light((10, 12, 30), (38, 40, 70), cold * tint, flood * tint, 0.65, 0.04, False)


def light_sheet(rng: np.random.Generator, sheet, light: Light) -> np.ndarray:
    """Returns a sheet's colours `(side, side, 4)` float32, RGB in 0..255 and coverage in 0..1."""
    rgb = sheet.rgb * light.subject.astype(np.float32)
    if light.lit:
        # Whole rooms are lit or dark: the pattern is coarse.
        rooms = (rng.random((14, 14)) < light.lit).astype(np.float32)
        rooms = cv2.resize(rooms, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        glow = (sheet.glass * sheet.coverage * rooms)[..., None]
        rgb += (np.array([255, 214, 130], np.float32) - rgb) * glow
    air = np.array(light.horizon, np.float32) * sheet.coverage[..., None]
    rgb += (air - rgb) * np.float32(light.haze)
    return np.dstack([rgb, sheet.coverage])


def cast_shadow(rng: np.random.Generator, image: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Darkens what lies on one side of a random line, with a soft edge, but never the sky.

    Args:
      rng: the source of the line and the shadow's depth.
      image: `(side, side, 3)` float32.
      solid: `(side, side, 1)` float32 in 0..1, 0 where the sky is seen.

    Returns:
      The darkened image, `(side, side, 3)` float32.
    """
    side = image.shape[0]
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.35) * side
    place = np.arange(side, dtype=np.float32) - np.float32(side / 2)
    across, down = place * np.float32(np.cos(angle)), place * np.float32(np.sin(angle))
    distance = across[None, :] + down[:, None] - np.float32(offset)
    dark = np.clip(distance / np.float32(0.03 * side) + np.float32(0.5), 0, 1)[..., None]
    return image * (1 - np.float32(rng.uniform(0.3, 0.55)) * dark * solid)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Takes the picture: exposure, white balance, falling light, contrast, blur and noise.

    Args:
      rng: the source of all settings.
      image: `(side, side, 3)`, RGB in 0..255.

    Returns:
      `(side, side, 3)` uint8.
    """
    side = image.shape[0]
    image = image.astype(np.float32)
    corners = rng.uniform(0.75, 1.2, (2, 2)).astype(np.float32)
    image *= cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
    cast = np.exp(rng.normal(0, 0.07, 3)) * np.exp(rng.normal(-0.04, 0.12))
    image *= cast.astype(np.float32)
    mean = image.mean(dtype=np.float64)
    image *= np.float32(max(1.0, 36 / max(mean, 4)))  # the dark is exposed for longer
    contrast = np.float32(np.exp(rng.normal(0, 0.12)))
    mean = image.mean(dtype=np.float64)
    image = (image - np.float32(mean)) * contrast + np.float32(mean + rng.normal(0, 5))
    if rng.random() < 0.02:  # a black-and-white photograph
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.1)) * side / 160)
    noise = rng.standard_normal(image.shape, np.float32)
    image += noise * np.float32(rng.uniform(0, 5))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
