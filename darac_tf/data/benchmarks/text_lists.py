"""The original ground truth of Oxford5k and Paris6k: four text files per query."""

from pathlib import Path

from darac_tf.data.benchmarks.ground_truth import check_name, read_lines
from darac_tf.data.benchmarks.published import PARIS_CORRUPT
from darac_tf.errors import UserError

# Folders that the archives are usually unpacked into.
SUBFOLDERS = ("", "gt", "gt_files", "gt_files_170407", "paris_120310")
PREFIX = "oxc1_"


def find_text_lists(data_dir):
    """The first folder with `*_query.txt` files in it, or None."""
    folders = (Path(data_dir) / name for name in SUBFOLDERS)
    return next((folder for folder in folders if any(folder.glob("*_query.txt"))), None)


def load_text_lists(folder, image_names):
    """Reads `<landmark>_<n>_{good,ok,junk,query}.txt` of a folder into the form of `gnd_*.pkl`.

    The database is all images there are, of `image_names` in the data folder, in their order,
    without the 20 of Paris that are known to be broken; a listed image without a file is in it too,
    so that it is missed later.

    Dict with `imlist`, `qimlist` and `gnd`, as in the pickles: good and ok images together are
    `ok`. `UserError` if a file is missing or not in that form.
    """
    stems = [path.name.removesuffix("_query.txt") for path in folder.glob("*_query.txt")]
    stems.sort(key=_landmark_first)
    queries = [_query(folder / f"{stem}_query.txt") for stem in stems]
    lists = [
        {kind: _names(folder / f"{stem}_{kind}.txt") for kind in ("good", "ok", "junk")}
        for stem in stems
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
    remedy = "every query needs its good, ok, junk and query file: unpack the ground truth again"
    return read_lines(path, path, remedy)


def _names(path):
    return [check_name(line.strip(), str(path)) for line in _lines(path) if line.strip()]


def _query(path):
    words = " ".join(_lines(path)).split()
    try:
        name, left, top, right, bottom = *words[:1], *map(float, words[1:])
    except ValueError as error:
        raise UserError(
            f"{path}: must hold one line, name xmin ymin xmax ymax; unpack the ground truth again"
        ) from error
    return check_name(name.removeprefix(PREFIX), str(path)), [left, top, right, bottom]
