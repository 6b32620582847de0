"""Flat pictures somewhere in a photograph: a stand-in for photographs of covers and posters.

Paintings are warped by a random perspective and pasted onto photographs of places; the clean
painting is the query, the photograph with it is its only positive.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from darac_tf.data import load_dataset
from darac_tf.data.images import decode_image
from darac_tf.data.labelled import read_csv, write_rows
from darac_tf.evaluation.task import labelled_task
from darac_tf.files import atomic_path
from studies.joint_sets import LANDMARKS

# How far the corners of a picture move, in its sides.
_BEND = 0.12
_PICTURES = 120
_LONG_SIDE, _LIGHT, _QUALITY = 640, (0.7, 1.15), 90


@dataclass(frozen=True)
class Placement:
    """How much of a photograph a picture covers, least and most, and where it may lie.

    0 is at the left, or top, and 1 at the right, or bottom, as far as there is room.
    """

    shares: tuple[float, float] = (0.08, 0.4)
    places: tuple[float, float] = (0.0, 1.0)


ANYWHERE = Placement()


def draw_flat_pictures(folder, pictures, photographs, placement=ANYWHERE, seed=0):
    """Draws the set once.

    Args:
        folder: Where it goes: `labels.csv` with splits `query` and `index`, and the photographs.
        pictures: Paths of flat pictures, one a class.
        photographs: As many paths of photographs that they are pasted on, or more; the rest is in
            the database as it is.
        placement: `Placement` of the pictures.
        seed: Of what chance decides.

    Returns:
        `LabelledImages`.
    """
    folder = Path(folder)
    if (folder / "labels.csv").exists():
        return read_csv(folder)
    random = np.random.default_rng(seed)
    order = random.permutation(len(photographs))
    rows = []
    for number, picture in enumerate(pictures):
        image = paste(random, _read(photographs[order[number]]), _read(picture), placement)
        file = folder / f"{number:04d}.jpg"
        encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        with atomic_path(file) as path:
            path.write_bytes(encoded.tobytes())
        rows += [(Path(picture).resolve(), f"{number:04d}", "query")]
        rows += [(file.resolve(), f"{number:04d}", "index")]
    for place in order[len(pictures) :]:
        rows.append((Path(photographs[place]).resolve(), f"none {place:04d}", "index"))
    write_rows(folder / "labels.csv", rows)
    return read_csv(folder)


def read_flat_pictures(data_dir, folder, placement=ANYWHERE, seed=0):
    """`Task` of 120 paintings of `museum` in photographs of places, each the query of one.

    Of the sets of `joint_sets` in a folder; drawn once into another, by a `Placement` and a seed.
    """
    museum = load_dataset("csv", Path(data_dir) / "museum", "index")
    places = [*load_dataset("csv", Path(data_dir) / LANDMARKS, "test").paths]
    places += [*load_dataset("csv", Path(data_dir) / "buildings").paths]
    chosen = np.random.default_rng(0).permutation(len(museum))[:_PICTURES]
    flat = draw_flat_pictures(folder, museum.paths[chosen], places, placement, seed)
    return labelled_task(flat, "query")


def paste(random, photograph, picture, placement=ANYWHERE):
    """A photograph with a picture in it, in perspective and in another light.

    Args:
        random: NumPy generator.
        photograph: uint8 `(height, width, 3)`.
        picture: uint8 `(rows, columns, 3)`.
        placement: `Placement` of it.

    Returns:
        uint8, as the photograph. The corners of the picture are within it.
    """
    height, width = photograph.shape[:2]
    rows, columns = picture.shape[:2]
    share = random.uniform(*placement.shares)
    # Of its own shape, as wide and high as the photograph has room for.
    scale = np.sqrt(share * height * width / (rows * columns))
    scale = min(scale, 0.95 * height / rows, 0.95 * width / columns)
    size = scale * np.array([columns, rows])
    # A warp takes the nearest four pixels only: what shrinks is averaged before.
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rows, columns = picture.shape[:2]
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    inwards = random.uniform(0, _BEND, (4, 2)) * np.where(square == 0, 1, -1)
    corner = random.uniform(*placement.places, 2) * (np.array([width, height]) - size)
    corners = np.float32(corner + (square + inwards) * size)
    warp = cv2.getPerspectiveTransform(np.float32(square * [columns, rows]), corners)
    mask = _warped(np.full((rows, columns), 255, np.uint8), warp, width, height)[..., None] / 255
    gain = random.uniform(*_LIGHT) * random.uniform(0.92, 1.08, 3)
    warped = _warped(picture, warp, width, height) * gain
    mixed = photograph * (1 - mask) + warped * mask
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _warped(image, warp, width, height):
    return cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_LINEAR)


def _read(path):
    """uint8 `(height, width, 3)` with a long side of 640 pixels at most."""
    image = decode_image(Path(path).read_bytes()).numpy()
    factor = min(1.0, _LONG_SIDE / max(image.shape[:2]))
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
