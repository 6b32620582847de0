"""The original ground truth of Oxford5k and Paris6k: four text files per query."""

import re
from pathlib import Path

from darac_tf.data.benchmarks.ground_truth import check_name
from darac_tf.data.benchmarks.published import PARIS_CORRUPT
from darac_tf.errors import UserError

# Folders that the archives are usually unpacked into.
SUBFOLDERS = ("", "gt", "gt_files", "gt_files_170407", "paris_120310")
PREFIX = "oxc1_"


def find_text_lists(data_dir):
    """The first folder with `*_query.txt` files in it, or None."""
    for name in SUBFOLDERS:
        folder = Path(data_dir) / name
        if folder.is_dir() and any(folder.glob("*_query.txt")):
            return folder
    return None


def load_text_lists(folder, image_names):
    """Reads `<landmark>_<n>_{good,ok,junk,query}.txt` into the form of `gnd_*.pkl`.

    The database is all images there are, in the order of their names, without the 20 of Paris that
    are known to be broken; a listed image without a file is in it too, so that it is missed later.

    Args:
        folder: The folder with the text files.
        image_names: Names of the images in the data folder.

    Returns:
        Dict with `imlist`, `qimlist` and `gnd`, as in the pickles: good and ok images together
        are `ok`.

    Raises:
        UserError: If a file is missing or not in that form.
    """
    stems = sorted(path.name.removesuffix("_query.txt") for path in folder.glob("*_query.txt"))
    queries = [_query(folder / f"{stem}_query.txt") for stem in sorted(stems, key=_landmark_first)]
    lists = [
        {kind: _names(folder / f"{stem}_{kind}.txt") for kind in ("good", "ok", "junk")}
        for stem in sorted(stems, key=_landmark_first)
    ]
    listed = {name for entry in lists for names in entry.values() for name in names}
    listed |= {name for name, _ in queries}
    names = sorted((set(image_names) | listed) - PARIS_CORRUPT)
    rows = {name: row for row, name in enumerate(names)}
    gnd = [
        {
            "ok": [rows[name] for name in entry["good"] + entry["ok"] if name in rows],
            "junk": [rows[name] for name in entry["junk"] if name in rows],
            "bbx": box,
        }
        for entry, (_, box) in zip(lists, queries, strict=True)
    ]
    return {"imlist": names, "qimlist": [name for name, _ in queries], "gnd": gnd}


def _landmark_first(stem):
    # So that a tenth query comes after the ninth.
    landmark, _, number = stem.rpartition("_")
    return landmark, int(number) if number.isdecimal() else 0, stem


def _lines(path):
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(
            f"{path}: can't be read ({error.strerror}); every query needs its good, ok, junk and "
            "query file: unpack the ground truth again"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text file; unpack the ground truth again") from error


def _names(path):
    return [check_name(line.strip(), str(path)) for line in _lines(path) if line.strip()]


def _query(path):
    words = re.split(r"\s+", " ".join(_lines(path)).strip())
    try:
        name, box = words[0], [float(word) for word in words[1:]]
    except ValueError:
        box = []
    if len(box) != 4:
        raise UserError(
            f"{path}: must hold one line, name xmin ymin xmax ymax; unpack the ground truth again"
        )
    return check_name(name.removeprefix(PREFIX), str(path)), box
