"""One view of a landmark: its sheets, a camera, its surroundings, and the picture taken."""

from dataclasses import dataclass

import cv2
import numpy as np

from darac_tf.data.demo import surroundings
from darac_tf.data.demo.buildings import draw_building

_SIDE_WALLS = 3  # copies of a sheet set back behind it, which together look like its side walls


@dataclass(frozen=True)
class Sheet:
    """One flat part of a landmark, ready to be seen in perspective; lengths in canvas widths."""

    planes: np.ndarray  # `(height, width, 4)` float32: RGB in 0..255 times coverage; coverage, 0..1
    glass: np.ndarray  # `(height, width)` float32 in 0..1, how much of the pixel is window
    box: tuple  # `(left, right, bottom, top)`
    depth: float  # distance in front of the landmark's main plane
    thickness: float  # how far its walls run backwards


def draw_landmark(rng, side):
    """Draws a landmark that depends on `rng` alone: a list of `Sheet`, back to front.

    `side` is that of a whole canvas in the sheets' pixels.
    """
    return [_reduced(canvas, side) for canvas in draw_building(rng)]


def _reduced(canvas, side):
    """Averages a canvas down to `side` pixels, which also smooths its edges, and crops it."""
    # Bare canvas is black: averages come out multiplied by coverage, without a dark fringe.
    planes, glass = (
        cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        for layer in (canvas.rgba, canvas.glass)
    )
    planes[..., 3] /= 255
    rows, columns = (np.flatnonzero(planes[..., 3].any(axis=axis)) for axis in (1, 0))
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    planes, glass = planes[y0:y1, x0:x1].copy(), glass[y0:y1, x0:x1] / 255
    box = (x0 / side - 0.5, x1 / side - 0.5, 1 - y1 / side, 1 - y0 / side)
    return Sheet(planes, glass, box, canvas.depth, canvas.thickness)


def box_of(landmark):
    """`(left, right, bottom, top)` of all sheets together, in widths of the canvas."""
    left, right, bottom, top = np.transpose([sheet.box for sheet in landmark])
    return left.min(), right.max(), bottom.min(), top.max()


@dataclass(frozen=True)
class Camera:
    """A camera that looks at the point `(0, 0.35, 0)`, in widths of the landmark's canvas."""

    # In radians; positive pitch looks up, so that uprights converge.
    yaw: float
    pitch: float
    roll: float
    distance: float  # from that point
    scale: float = 1.0  # pixels for one unit on the image plane
    centre: tuple = (0.0, 0.0)  # `(x, y)` in pixels that the image plane's origin falls on

    def project(self, points):
        """Projects points `(n, 3)`, x right, y up, z towards the viewer, to pixels `(n, 2)`."""
        x, y, z = np.asarray(points, np.float64).T
        x, z = _turned(x, z, self.yaw)
        up, forward = _turned(y - 0.35, self.distance - z, -self.pitch)
        u, v = _turned(x / forward, -up / forward, -self.roll)
        return np.stack([u, v], axis=1) * self.scale + self.centre


def _turned(x, y, angle):
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def draw_camera(rng, landmark, side):
    """Draws a camera that frames the landmark, wholly or with some of it cut off."""
    angles = (rng.uniform(-0.5, 0.5), rng.uniform(-0.02, 0.25), rng.normal(0, 0.03))
    distance = rng.uniform(1.1, 2.6)
    left, right, bottom, top = box_of(landmark)
    corners = [(x, y, 0.0) for x in (left, right) for y in (bottom, top)]
    seen = Camera(*angles, distance).project(corners)
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = rng.uniform(0.75, 1.12)
    scale = size * side / max(high - low)
    # The larger it is seen, the less it may be moved: at least two thirds of it stay in view.
    shift = rng.uniform(-0.1, 0.1, 2) * side / max(1.0, size)
    return Camera(*angles, distance, scale, side / 2 + shift - (low + high) / 2 * scale)


def draw_view(rng, landmark, side):
    """Draws one view of a landmark, a list of `Sheet`: `(side, side, 3)` uint8, RGB."""
    camera, light = draw_camera(rng, landmark, side), surroundings.draw_light(rng)
    foot, far = camera.project([(0, 0, 0), (0, 0, -rng.uniform(0.8, 3.0))])[:, 1]
    horizon = np.clip(min(far, foot - 0.03 * side), 0.1 * side, 0.95 * side)
    image = surroundings.draw_backdrop(rng, side, horizon, light).astype(np.float32)
    for sheet in landmark:
        planes = _lit(rng, sheet, light)
        for step in range(_SIDE_WALLS, -1, -1):
            depth = sheet.depth - sheet.thickness * step / _SIDE_WALLS
            _show(image, planes, sheet.box, camera, depth, 0.62 if step else 1.0)
    image = np.clip(image, 0, 255).astype(np.uint8)
    surroundings.add_foreground(rng, image, foot, light)
    return surroundings.photograph(rng, image)


def _lit(rng, sheet, light):
    """A sheet's planes in the light of a view."""
    rgb, cover = sheet.planes[..., :3], sheet.planes[..., 3:]
    rgb = rgb * np.float32(light.subject * light.tint)
    # Whole rooms are lit or dark: the pattern is coarse.
    rooms = np.float32(rng.random((14, 14)) < light.lit)
    rooms = cv2.resize(rooms, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    rgb += (np.float32((255, 214, 130)) - rgb) * (sheet.glass * rooms)[..., None] * cover
    rgb += (np.float32(light.horizon) * cover - rgb) * np.float32(light.haze)
    return np.dstack([rgb, cover])


def _show(image, planes, box, camera, depth, brightness):
    """Puts a sheet, set at `depth`, into the image as the camera sees it."""
    left, right, bottom, top = box
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    seen = camera.project([(*corner, depth) for corner in corners])
    x0, y0 = np.clip(np.floor(seen.min(axis=0)) - 1, 0, len(image)).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(axis=0)) + 1, 0, len(image)).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    height, width = planes.shape[:2]
    pixels = np.float32([(0, height), (width, height), (width, 0), (0, 0)])
    warp = cv2.getPerspectiveTransform(pixels, np.float32(seen - (x0, y0)))
    warped = cv2.warpPerspective(planes, warp, (int(x1 - x0), int(y1 - y0)))
    window = image[y0:y1, x0:x1]
    window *= 1 - warped[..., 3:]
    window += warped[..., :3] * np.float32(brightness)
