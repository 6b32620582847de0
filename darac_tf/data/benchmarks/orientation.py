"""How stored photographs are turned upright: by their EXIF orientation, or by a list."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from darac_tf.data.benchmarks.image_files import stem
from darac_tf.data.images import unreadable
from darac_tf.errors import UserError

ORIENTATIONS = ("stored", "exif", "list")
# Quarter turns counter-clockwise that undo each EXIF orientation (EXIF 2.32, tag 0x0112).
_TURNS = {1: 0, 3: 2, 6: 3, 8: 1}
_MIRRORED = (2, 4, 5, 7)


def check_orientation(orientation, rotation_list):
    """Checks the two options against each other.

    Raises:
        UserError: If the orientation is unknown, or a list is missing or not asked for.
    """
    if orientation not in ORIENTATIONS:
        raise UserError(f"--orientation={orientation}: choose from {', '.join(ORIENTATIONS)}")
    if orientation == "list" and not rotation_list:
        raise UserError("--orientation=list needs --rotation_list, a file of `name quarter_turns`")
    if orientation != "list" and rotation_list:
        raise UserError(f"--rotation_list={rotation_list} needs --orientation=list")


def image_turns(paths, orientation, rotation_list=None):
    """Quarter turns that make images upright, and a sentence for the report.

    Args:
        paths: The image files, `(images,)`.
        orientation: `"stored"` takes images as their pixels are stored, `"exif"` goes by their
            EXIF orientation, `"list"` by a file.
        rotation_list: For `"list"`: a text file with `name quarter_turns` a line, turns counter-
            clockwise (0..3). Images it doesn't name are upright already.

    Returns:
        int64 `(images,)` of quarter turns counter-clockwise, or None for `"stored"`; the sentence.

    Raises:
        UserError: If an image has a mirrored orientation or can't be read, or the list is wrong.
    """
    check_orientation(orientation, rotation_list)
    if orientation == "stored":
        return None, "Orientation: images as stored; EXIF orientation is not applied."
    if orientation == "exif":
        turns = np.array([_exif_turns(path) for path in paths], np.int64)
        how = "upright by EXIF orientation"
    else:
        turns = _listed_turns(paths, Path(rotation_list))
        how = f"upright by the list {Path(rotation_list).name}"
    return turns, f"Orientation: {how}; {np.count_nonzero(turns)} of {len(turns)} images turned."


def _exif_turns(path):
    try:
        with Image.open(path) as image:
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise UserError(unreadable(path)) from error
    if value in _MIRRORED:
        raise UserError(
            f"{path}: EXIF orientation {value} is mirrored, and images are only turned here; "
            "store it unmirrored, or use --orientation=list"
        )
    if value == 0:  # "unknown", which some cameras write
        return 0
    if value not in _TURNS:
        raise UserError(
            f"{path}: EXIF orientation {value!r} is none of 1 to 8; correct it, or use "
            "--orientation=list"
        )
    return _TURNS[value]


def _listed_turns(paths, file):
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--rotation_list: {file} can't be read ({error})") from error
    rows = {Path(path).stem: row for row, path in enumerate(paths)}
    turns, named = np.zeros(len(paths), np.int64), set()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        where = f"--rotation_list: {file}, line {number}"
        if len(words) != 2 or words[1] not in ("0", "1", "2", "3"):
            raise UserError(f"{where}: must be `name quarter_turns` with 0 to 3 turns")
        name = stem(words[0])
        if name not in rows:
            raise UserError(f"{where}: no image {words[0]} in the data set; remove the line")
        if name in named:
            raise UserError(f"{where}: {words[0]} is listed twice; remove one of the lines")
        named.add(name)
        turns[rows[name]] = int(words[1])
    return turns
