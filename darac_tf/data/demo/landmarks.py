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

from darac_tf.data.demo.drawing import SHEET_SIDE
from darac_tf.data.demo.views import draw_landmark, draw_view
from darac_tf.errors import UserError
from darac_tf.threads import in_order

SETTINGS_FILE = "landmarks.json"
# Raised whenever the same settings would draw other images, so that old sets are not mistaken.
FORMAT_VERSION = 2
_LOWEST = {"classes": 1, "views": 1, "size": 32, "seed": 0}


def generate_landmarks(folder, classes=300, views=6, size=160, seed=0):
    """Draws the set into `folder`, or returns at once if it already holds that very set.

    An image's bytes depend on its seed, class, view and size alone: a set of fewer classes or views
    is a part of a larger one. An interrupted run leaves no `folder` behind.

    Args:
        folder: Where the set goes; absent, empty, or a set drawn earlier.
        classes: Number of landmarks, 1 or more.
        views: Images of each landmark, 1 or more.
        size: Side of the square images in pixels, 32 or more.
        seed: Picks the landmarks and their views, 0 or more.

    Returns:
        `Path` of the folder, with images at `landmark_<class>/<view>.jpg` (RGB JPEG).

    Raises:
        UserError: If a setting is out of range, `folder` holds another set or other files, or it
            cannot be written.
    """
    folder = Path(folder)
    settings = {"classes": classes, "views": views, "size": size, "seed": seed}
    for name, low in _LOWEST.items():
        if settings[name] < low:
            received = settings[name]
            raise UserError(f"landmark set: {name} must be {low} or more. Received: {received}")
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


def _holds_set(folder, settings):
    """Whether `folder` is a finished set of these settings; refuses any other content."""
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
        theirs, ours = (json.dumps(values).replace('"', "") for values in (found, settings))
        raise UserError(
            f"{folder}: holds a landmark set of other settings, {theirs}, than the {ours} asked "
            f"for: {remedy}"
        )
    return True


def _draw_set(folder, settings):
    """Draws every image of the set, then writes its settings."""
    total, seed = settings["classes"] * settings["views"], settings["seed"]
    side = min(SHEET_SIDE, round(1.25 * settings["size"]))

    def draw(index):
        # View v draws from stream v + 1: stream 0 is the landmark's own.
        landmark = draw_landmark(np.random.default_rng([seed, index, 0]), side)
        target = folder / f"landmark_{index:03d}"
        target.mkdir()
        for view in range(settings["views"]):
            rng = np.random.default_rng([seed, index, view + 1])
            bgr = cv2.cvtColor(draw_view(rng, landmark, settings["size"]), cv2.COLOR_RGB2BGR)
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 96))]
            _, jpeg = cv2.imencode(".jpg", bgr, quality)
            (target / f"{view:02d}.jpg").write_bytes(jpeg.tobytes())

    with tqdm(total=total, desc="drawing landmarks", unit="image", mininterval=1, delay=1) as bar:
        for _ in in_order(draw, range(settings["classes"])):
            bar.update(settings["views"])
    text = json.dumps(settings, indent=2) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def _move(drawn, folder, settings):
    """Gives the finished set its name; if another process was first, its set is kept."""
    try:
        drawn.rename(folder)
    except OSError:
        if not _holds_set(folder, settings):
            raise
