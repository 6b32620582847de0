"""Small benchmarks in the layouts of the real ones, of images that their mean colour ranks.

Each image is of one colour with stripes of its own; in a query image only the box has the colour of
its landmark, and the rest has that of images that are wrong. So every protocol gives 1 when the box
is looked at, and less when the whole image is.
"""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

RED, GREEN, BLUE = (220, 20, 20), (20, 220, 20), (20, 20, 220)
YELLOW, CYAN, MAGENTA = (220, 220, 20), (20, 220, 220), (220, 20, 220)
SIZE = (48, 64)  # height, width
BOX = (12.5, 8.0, 48.0, 40.0)  # 37 % of the image
LANDMARKS = {"arch": (RED, YELLOW), "tower": (GREEN, CYAN), "palace": (BLUE, MAGENTA)}
EXIF_ORIENTATION = 0x0112


def write_oxford(folder, ground_truth="pkl", paris=False):
    """Writes Oxford5k's layout, or Paris6k's with a folder per landmark.

    Three queries, each with 3 good, 2 ok and 1 junk image besides itself; two images of each
    surrounding colour are wrong for all.

    Args:
        folder: Where to.
        ground_truth: "pkl", "mat" or "text".
        paris: Whether to write Paris6k's layout.
    """
    folder, kind = Path(folder), "paris6k" if paris else "oxford5k"
    images, queries = _landmark_images("paris_" if paris else "")
    for name, image in images.items():
        landmark = name.removeprefix("paris_").rpartition("_")[0]
        _save(image, folder / "jpg" / (landmark if paris else "") / f"{name}.jpg")
    names = sorted(images, key=lambda name: name[::-1])
    rows = {name: row for row, name in enumerate(names)}
    if ground_truth == "text":
        _write_text_lists(folder / "gt", queries, "" if paris else "oxc1_")
        return folder
    truth = {
        "imlist": names,
        "qimlist": [query["name"] for query in queries],
        "qidx": [rows[query["name"]] for query in queries],
        "gnd": [
            {
                "ok": sorted(rows[name] for name in query["good"] + query["ok"]),
                "junk": sorted(rows[name] for name in query["junk"]),
                "bbx": list(BOX),
            }
            for query in queries
        ],
    }
    return _write_truth(folder, kind, truth, ground_truth)


def write_revisited(folder, ground_truth="pkl", paris=False):
    """Writes ROxford5k's layout, or RParis6k's: queries outside the database.

    Each query has 3 easy, 2 hard and 1 junk image.
    """
    folder, kind = Path(folder), "rparis6k" if paris else "roxford5k"
    images, queries = _landmark_images("")
    for name, image in images.items():
        _save(image, folder / "jpg" / f"{name}.jpg")
    names = sorted(set(images) - {query["name"] for query in queries})
    rows = {name: row for row, name in enumerate(names)}
    truth = {
        "imlist": names,
        "qimlist": [query["name"] for query in queries],
        "gnd": [
            {
                "easy": [rows[name] for name in query["good"] if name in rows],
                "hard": [rows[name] for name in query["ok"]],
                "junk": [rows[name] for name in query["junk"]],
                "bbx": list(BOX),
            }
            for query in queries
        ],
    }
    return _write_truth(folder, kind, truth, ground_truth)


def write_holidays(folder, name_list=True):
    """Writes Holidays' layout: 6 groups of 2 or 3 images, the first of each is the query.

    Image 100201 is stored on its side, which its EXIF orientation and `rotations.txt` say.
    """
    folder = Path(folder)
    names = []
    for group, colour in enumerate((RED, GREEN, BLUE, YELLOW, CYAN, MAGENTA)):
        for view in range(3 - group % 2):
            name = f"{100000 + 100 * group + view}"
            names.append(f"{name}.jpg")
            image = _striped(colour, seed=10 * group + view)
            image[: SIZE[0] // 3] //= 2  # dark at the top, so that upright can be told
            turned = name == "100201"
            # EXIF 6: the viewer turns the stored image a quarter clockwise.
            stored = np.rot90(image) if turned else image
            _save(stored, folder / "jpg" / names[-1], 6 if turned else None)
    if name_list:
        (folder / "holidays_images.dat").write_text("\n".join(names) + "\n")
    (folder / "rotations.txt").write_text("100201.jpg 3\n")
    return folder


def write_gpr1200(folder):
    """Writes GPR1200's layout: 6 classes of 4 images, named `<class>_<name>.jpg`."""
    folder = Path(folder)
    for label, colour in enumerate((RED, GREEN, BLUE, YELLOW, CYAN, MAGENTA)):
        for view in range(4):
            image = _striped(colour, seed=100 + 10 * label + view)
            _save(image, folder / "images" / f"{label * 7}_photo_{view}.jpg")
    return folder


def _landmark_images(prefix):
    """All images by name, and the queries as dicts of name, good, ok and junk."""
    images, queries = {}, []
    for number, (landmark, (colour, surroundings)) in enumerate(LANDMARKS.items()):
        names = [f"{prefix}{landmark}_{i:06d}" for i in range(7)]
        for i, name in enumerate(names[1:], start=1):
            images[name] = _striped(colour, seed=20 * number + i)
        query = _striped(surroundings, seed=20 * number)
        left, top, right, bottom = (int(v) for v in BOX)
        query[top:bottom, left:right] = _striped(colour, seed=20 * number + 9)[
            top:bottom, left:right
        ]
        images[names[0]] = query
        for i in range(2):
            name = f"{prefix}general_{10 * number + i:06d}"
            images[name] = _striped(surroundings, seed=20 * number + 10 + i)
        good = [names[0], *names[1:4]]
        queries.append({"name": names[0], "good": good, "ok": names[4:6], "junk": names[6:]})
    return images, queries


def _striped(colour, seed):
    """uint8 `(height, width, 3)`: a colour with stripes of up to a tenth of its brightness."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 16)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return (np.array(colour) * (0.9 + 0.1 * wave[..., None])).astype(np.uint8)


def _save(image, path, orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(np.ascontiguousarray(image)).save(path, quality=95, exif=exif)


def _write_truth(folder, kind, truth, ground_truth):
    if ground_truth == "pkl":
        (folder / f"gnd_{kind}.pkl").write_bytes(pickle.dumps(truth, protocol=3))
        return folder
    entries = np.zeros((len(truth["gnd"]), 1), [(key, object) for key in truth["gnd"][0]])
    for row, entry in enumerate(truth["gnd"]):
        for key, values in entry.items():
            numbers = np.array(values, np.float64 if key == "bbx" else np.uint16)
            entries[row, 0][key] = numbers[None] + (0 if key == "bbx" else 1)
    variables = {"imlist": _cells(truth["imlist"]), "gnd": entries}
    if "qidx" in truth:
        variables["qidx"] = np.array(truth["qidx"], np.uint16)[:, None] + np.uint16(1)
    else:
        variables["qimlist"] = _cells(truth["qimlist"])
    savemat(folder / f"gnd_{kind}.mat", variables, do_compression=True)
    return folder


def _cells(names):
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    return cells


def _write_text_lists(folder, queries, prefix):
    folder.mkdir()
    for query in queries:
        stem = query["name"].removeprefix("paris_").rpartition("_")[0] + "_1"
        for kind in ("good", "ok", "junk"):
            (folder / f"{stem}_{kind}.txt").write_text("".join(f"{n}\n" for n in query[kind]))
        box = " ".join(map(str, BOX))
        (folder / f"{stem}_query.txt").write_text(f"{prefix}{query['name']} {box}\n")
