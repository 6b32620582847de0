"""A generated set of landmarks to train and to evaluate on where no photographs are at hand.

The set is drawn once and kept: `folder/landmark_000/00.jpg`, with its settings in
`folder/landmarks.json`. A landmark is made of many attributes shared with others (kind of building,
proportions, floors, windows, roofs, masonry, palette), so what is learned on some landmarks serves
others. Its views differ in perspective, framing, light, occlusion, surroundings and camera, and
colour alone does not tell landmarks apart.
"""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from darac_tf.data.demo.canvas import SHEET_SIDE
from darac_tf.data.demo.scenes import draw_landmark
from darac_tf.data.demo.views import draw_view
from darac_tf.errors import UserError

SETTINGS_FILE = "landmarks.json"
# Raised whenever the same settings would draw other images, so that old sets are not mistaken.
FORMAT_VERSION = 1
_SMALLEST_SIZE = 32


def generate_landmarks(
    folder, classes: int = 300, views: int = 6, size: int = 160, seed: int = 0
) -> Path:
    """Draws the set into `folder`, or returns at once if it already holds that very set.

    An image's bytes depend on its seed, class, view and size alone: a set of fewer classes or views
    is a part of a larger one. An interrupted run leaves no `folder` behind.

    Args:
      folder: where the set goes; absent, empty, or a set drawn earlier.
      classes: number of landmarks, 1 or more.
      views: images of each landmark, 1 or more.
      size: side of the square images in pixels, 32 or more.
      seed: picks the landmarks and their views, 0 or more.

    Returns:
      The path of the folder, with images at `landmark_<class>/<view>.jpg` (RGB JPEG).

    Raises:
      UserError: a setting is out of range, `folder` holds another set or other files, or it cannot
        be written.
    """
    folder = Path(folder)
    settings = {"classes": classes, "views": views, "size": size, "seed": seed}
    _check_settings(settings)
    settings = {"format": FORMAT_VERSION, **settings}
    if _holds_set(folder, settings):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as scratch:
            # A folder inside the scratch one: it gets the user's usual permissions, not private
            # ones, and what remains is removed whatever happens.
            drawn = Path(scratch) / "landmarks"
            drawn.mkdir()
            _draw_set(drawn, settings)
            _move(drawn, folder, settings)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write the landmark set ({error.strerror or error}): choose a folder "
            "that can be written to, on a disk with room"
        ) from error
    return folder


def _check_settings(settings: dict) -> None:
    lowest = {"classes": 1, "views": 1, "size": _SMALLEST_SIZE, "seed": 0}
    for name, low in lowest.items():
        if settings[name] < low:
            raise UserError(
                f"landmark set: {name} must be {low} or more. Received: {settings[name]}"
            )


def _holds_set(folder: Path, settings: dict) -> bool:
    """Returns whether `folder` is a finished set of these settings; refuses any other content."""
    remedy = "choose another folder or delete it"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: not a folder: {remedy}")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    file = folder / SETTINGS_FILE
    if not file.is_file():
        raise UserError(f"{folder}: holds files but no landmark set: {remedy}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: not a valid settings file: {remedy}") from error
    if found != settings:
        raise UserError(
            f"{folder}: holds a landmark set of other settings, {_in_words(found)}, than the "
            f"{_in_words(settings)} asked for: {remedy}"
        )
    return True


def _in_words(settings) -> str:
    return json.dumps(settings).replace('"', "")


def _draw_set(folder: Path, settings: dict) -> None:
    """Draws every image of the set, then writes its settings."""
    total = settings["classes"] * settings["views"]
    sheet_side = min(SHEET_SIDE, round(1.25 * settings["size"]))
    with tqdm(total=total, desc="drawing landmarks", unit="image", mininterval=1, delay=1) as bar:
        for index in range(settings["classes"]):
            # View v draws from stream v + 1: stream 0 is the landmark's own.
            landmark = draw_landmark(
                np.random.default_rng([settings["seed"], index, 0]), sheet_side
            )
            target = folder / f"landmark_{index:03d}"
            target.mkdir()
            for view in range(settings["views"]):
                rng = np.random.default_rng([settings["seed"], index, view + 1])
                image = draw_view(rng, landmark, settings["size"])
                quality = int(rng.integers(55, 96))
                (target / f"{view:02d}.jpg").write_bytes(_encode(image, quality))
                bar.update()
    text = json.dumps(settings, indent=2) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def _encode(image: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()


def _move(drawn: Path, folder: Path, settings: dict) -> None:
    """Gives the finished set its name; if another process was first, its set is kept."""
    try:
        drawn.rename(folder)
    except OSError:
        if not _holds_set(folder, settings):
            raise
