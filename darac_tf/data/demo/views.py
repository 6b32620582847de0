"""One view of a generated landmark: a camera, its surroundings, and the picture taken."""

from dataclasses import dataclass

import cv2
import numpy as np

from darac_tf.data.demo.clutter import add_foreground, draw_backdrop
from darac_tf.data.demo.light import cast_shadow, draw_light, light_sheet, photograph
from darac_tf.data.demo.scenes import Landmark, Sheet

_SIDE_WALLS = 3  # copies of a sheet set back behind it, which together look like its side walls


@dataclass(frozen=True)
class Camera:
    """A camera that looks at the point `(0, 0.35, 0)`, in widths of the landmark's sheet.

    Attributes:
      yaw, pitch, roll: angles in radians; positive pitch looks up, so that uprights converge.
      distance: from that point.
      scale: pixels for one unit on the image plane.
      centre: `(x, y)` in pixels that the image plane's origin falls on.
    """

    yaw: float
    pitch: float
    roll: float
    distance: float
    scale: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def project(self, points) -> np.ndarray:
        """Projects points `(n, 3)`, x right, y up, z towards the viewer, to pixels `(n, 2)`."""
        x, y, z = np.asarray(points, np.float64).T
        y = y - 0.35
        x, z = (
            x * np.cos(self.yaw) + z * np.sin(self.yaw),
            z * np.cos(self.yaw) - x * np.sin(self.yaw),
        )
        forward = self.distance - z
        up = y * np.cos(self.pitch) - forward * np.sin(self.pitch)
        forward = forward * np.cos(self.pitch) + y * np.sin(self.pitch)
        u, v = x / forward, -up / forward
        cosine, sine = np.cos(self.roll), np.sin(self.roll)
        plane = np.stack([u * cosine - v * sine, u * sine + v * cosine], axis=1)
        return plane * self.scale + np.asarray(self.centre)


def draw_camera(rng: np.random.Generator, landmark: Landmark, side: int) -> Camera:
    """Draws a camera that frames the landmark, wholly or with some of it cut off."""
    angles = (rng.uniform(-0.5, 0.5), rng.uniform(-0.02, 0.25), rng.normal(0, 0.03))
    distance = rng.uniform(1.1, 2.6)
    left, right, bottom, top = landmark.box
    corners = [(x, y, 0.0) for x in (left, right) for y in (bottom, top)]
    seen = Camera(*angles, distance).project(corners)
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = rng.uniform(0.75, 1.12)
    scale = size * side / max(high - low)
    # The larger it is seen, the less it may be moved: at least two thirds of it stay in view.
    shift = rng.uniform(-0.1, 0.1, 2) * side / max(1.0, size)
    centre = side / 2 + shift - (low + high) / 2 * scale
    return Camera(*angles, distance, scale, tuple(centre))


def draw_view(rng: np.random.Generator, landmark: Landmark, side: int) -> np.ndarray:
    """Draws one view of a landmark.

    Args:
      rng: the source of everything that differs between views.
      landmark: what to look at.
      side: side of the image in pixels.

    Returns:
      The image, `(side, side, 3)` uint8, RGB.
    """
    camera, light = draw_camera(rng, landmark, side), draw_light(rng)
    foot = camera.project([(0.0, 0.0, 0.0)])[0, 1]
    far = camera.project([(0.0, 0.0, -rng.uniform(0.8, 3.0))])[0, 1]
    horizon = float(np.clip(min(far, foot - 0.03 * side), 0.1 * side, 0.95 * side))
    image = draw_backdrop(rng, side, horizon, light).astype(np.float32)
    solid = np.zeros((side, side, 1), np.float32)
    solid[int(horizon) :] = 1
    for sheet in landmark.sheets:
        planes = light_sheet(rng, sheet, light)
        for step in range(_SIDE_WALLS, -1, -1):
            depth = sheet.depth - sheet.thickness * step / _SIDE_WALLS
            seen = _see(planes, sheet, camera, depth, side)
            if seen is None:
                continue
            window, warped = seen
            cover = warped[..., 3:]
            image[window] *= 1 - cover
            image[window] += warped[..., :3] * np.float32(1.0 if step == 0 else 0.62)
            np.maximum(solid[window], cover, out=solid[window])
    if light.shadow and rng.random() < 0.5:
        image = cast_shadow(rng, image, solid)
    image = np.clip(image, 0, 255).astype(np.uint8)
    add_foreground(rng, image, foot, light)
    return photograph(rng, image)


def _see(planes: np.ndarray, sheet: Sheet, camera: Camera, depth: float, side: int):
    """Warps a sheet's planes, set at `depth`, to how the camera sees them.

    Args:
      planes: `(height, width, 4)` float32.
      sheet: where the planes belong.
      camera: the camera.
      depth: where the sheet stands, in widths of the canvas.
      side: side of the image in pixels.

    Returns:
      The part of the image it is seen in, as `(rows, columns)` slices, and the planes there,
      `(rows, columns, 4)`; None where it lies outside the image.
    """
    left, right, bottom, top = sheet.box
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    seen = camera.project([(*corner, depth) for corner in corners])
    x0, y0 = np.clip(np.floor(seen.min(axis=0)) - 1, 0, side).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(axis=0)) + 1, 0, side).astype(int)
    if x0 >= x1 or y0 >= y1:
        return None
    height, width = planes.shape[:2]
    pixels = np.array([(0, height), (width, height), (width, 0), (0, 0)], np.float32)
    warp = cv2.getPerspectiveTransform(pixels, (seen - (x0, y0)).astype(np.float32))
    warped = cv2.warpPerspective(planes, warp, (int(x1 - x0), int(y1 - y0)))
    return (slice(y0, y1), slice(x0, x1)), warped
