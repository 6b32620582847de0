"""Training sets as their published lists have them, whether or not the image files are there.

Each function reads the lists in a data folder as a `Listing`, and raises `UserError` if one is
missing or a line is another.
"""

import hashlib
import logging
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.mat import read_mat
from darac_tf.data.benchmarks.unpickle import load_ground_truth_pickle
from darac_tf.data.images import content_size
from darac_tf.data.labelled import LabelledImages
from darac_tf.errors import UserError

_LOG = logging.getLogger(__name__)
_GLDV2_HEADER = "landmark_id,images"
_IMAGE_ID = re.compile(r"[0-9a-z]{4,}")
_LANDMARKS_LISTS = {"train": "annotation_clean_train.txt", "val": "annotation_clean_val.txt"}
_SFM_NAMES = {"sfm_30k": "retrieval-SfM-30k.pkl", "sfm_120k": "retrieval-SfM-120k.pkl"}
_SFM_COLUMNS = ("cids", "cluster", "qidxs", "pidxs")
_CID = re.compile(r"[0-9A-Za-z_-]{6,}")
_PRODUCTS_LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
_CUB_LIST, _CARS_LIST = "images.txt", "cars_annos.mat"
_PRODUCTS_HEADER = "image_id class_id super_class_id path"


@dataclass(frozen=True)
class Listing:
    """What a list names."""

    kind: str  # a key of `published.TRAINING_SETS`
    rows: list[tuple[str, str, str]]  # `(path, class name, split)` of each image
    origins: list[str]  # what a user looks each image up by: its URL, or its path again
    pairs: np.ndarray | None = None  # as of `LabelledImages`

    def present(self):
        """Boolean array `(images,)`: there is a file, and it is not empty."""
        return np.fromiter((content_size(row[0]) > 0 for row in self.rows), bool, len(self.rows))

    def images(self):
        """All images of the list as `LabelledImages`, files there or not."""
        return LabelledImages.from_rows(self.kind, self.rows, self.pairs)

    def those_there(self):
        """The images as `LabelledImages`.

        Of the cleaned Landmarks, whose URLs die, some may be missing, which is logged.

        Raises:
            UserError: If a file is missing or empty; of the cleaned Landmarks, if all are.
        """
        there = self.present()
        missing, images = np.sum(~there), self.images()
        if not missing:
            return images
        if not there.any():
            raise UserError(
                f"{self.rows[0][0]}: no such image, and none of the other {len(there) - 1} of "
                f"{self.kind} either: fetch them and store them under these names"
            )
        if self.kind != "landmarks_clean":
            raise UserError(
                f"{self.origins[int(np.argmin(there))]}: no such image, or an empty one ({missing} "
                f"of {len(there)} of {self.kind}): add them, or prepare the set, which leaves them "
                "out"
            )
        _LOG.warning("%s: %d of %d images are missing and left out", self.kind, missing, len(there))
        return images.select(there)


def list_gldv2(data_dir):
    """GLDv2-clean: `train_clean.csv`, a line `landmark_id,id id id ...` for each landmark.

    Image `abcd...` is expected at `train/a/b/c/abcd....jpg`, and its class is named by the
    landmark's number.

    Source: Weyand et al., Google Landmarks Dataset v2, CVPR 2020; list: Yokoo et al., 2020.
    """
    path, folder = Path(data_dir) / "train_clean.csv", f"{Path(data_dir) / 'train'}"
    rows = []
    for number, line in _lines(path, _GLDV2_HEADER):
        landmark, comma, images = line.partition(",")
        ids = images.split()
        if not (comma and landmark.isdigit() and ids and all(map(_IMAGE_ID.fullmatch, ids))):
            raise UserError(f"{path}, line {number}: must be landmark_id,id id id ...")
        rows += [(f"{folder}/{i[0]}/{i[1]}/{i[2]}/{i}.jpg", landmark, "") for i in ids]
    return _listing("gldv2_clean", path, rows, [row[0] for row in rows])


def list_clean_landmarks(data_dir):
    """The cleaned Landmarks: lists for `train` and, if it is there, `val`, of lines `url label`.

    The image of a URL lies in `images/`, named by the SHA-1 of the URL in hexadecimal digits and
    `.jpg`, whatever its format; an entry that is no URL is taken for a path below `images/`. A line
    that a list has twice counts once.

    Source: Gordo et al., Deep Image Retrieval, ECCV 2016, section 4.
    """
    data_dir, origins = Path(data_dir), {}
    for split, name in _LANDMARKS_LISTS.items():
        path = data_dir / name
        if split != "train" and not path.exists():
            continue
        for number, line in _lines(path):
            entry, _, label = line.rpartition(" ")
            entry = stored = entry.strip()
            if not entry:
                raise UserError(f"{path}, line {number}: must be `url label`, and is {line!r}")
            if "://" in entry:
                stored = hashlib.sha1(entry.encode(), usedforsecurity=False).hexdigest() + ".jpg"
            origins.setdefault((str(data_dir / "images" / stored), label, split), entry)
    path = data_dir / _LANDMARKS_LISTS["train"]
    return _listing("landmarks_clean", path, list(origins), list(origins.values()))


def list_products(data_dir):
    """Stanford Online Products: a line `image_id class_id super_class_id path` for each image.

    The images lie beside the lists, `train` and `test`, which share no class.

    Source: Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016.
    """
    data_dir, rows = Path(data_dir), []
    for split, name in _PRODUCTS_LISTS.items():
        path = data_dir / name
        for number, line in _lines(path, _PRODUCTS_HEADER):
            fields = line.split(maxsplit=3)
            if len(fields) != 4 or not all(field.isdigit() for field in fields[:3]):
                raise UserError(
                    f"{path}, line {number}: must be {_PRODUCTS_HEADER}, and is {line!r}"
                )
            rows.append((str(data_dir / fields[3]), f"{int(fields[1]):05d}", split))
    return _listing("products", path, rows, [row[0] for row in rows])


def list_cub(data_dir):
    """CUB-200-2011 as published: `images.txt` and `image_class_labels.txt` beside `images/`.

    The first half of the classes is `train`, the second `test` (Song et al., CVPR 2016).
    """
    data_dir, found = Path(data_dir), []
    for name, form in (("images.txt", "path"), ("image_class_labels.txt", "class_id")):
        found.append({})
        for number, line in _lines(data_dir / name):
            image, _, value = line.partition(" ")
            if not image.isdigit() or not (value.isdigit() if form == "class_id" else value):
                raise UserError(
                    f"{data_dir / name}, line {number}: must be image_id {form}, and is {line!r}"
                )
            found[-1][int(image)] = value
    paths, classes = found
    if paths.keys() != classes.keys():
        raise UserError(f"{data_dir}: {_CUB_LIST} and {name} have other image_ids; get both anew")
    pairs = [(data_dir / "images" / paths[image], int(classes[image])) for image in paths]
    return _class_halves("cub200", data_dir / _CUB_LIST, pairs)


def list_cars(data_dir):
    """Cars196 as published: `cars_annos.mat` beside `car_ims/`. Splits are those of `list_cub`."""
    path = Path(data_dir) / _CARS_LIST
    variables = read_mat(path)
    try:
        pairs = [
            (path.parent / str(image["relative_im_path"].item()), int(image["class"].item()))
            for image in variables["annotations"].ravel()
        ]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: has no annotations of relative_im_path and class; get it anew"
        ) from error
    return _class_halves("cars196", path, pairs)


def list_sfm(kind, data_dir):
    """retrieval-SfM-30k or 120k: a pickle, `train` and `val` with lists of names, models and pairs.

    The class of an image is its 3-D model (`cluster`), of which not all images show the same part:
    those that match are pairs (`qidxs`, `pidxs`). Image `...abcdef` (`cids`) is expected at
    `ims/ef/cd/ab/...abcdef`. Pairs of an image with itself, of which there are 47, are left out.

    Source: Radenovic, Tolias, Chum, Fine-tuning CNN Image Retrieval with No Human Annotation, PAMI
    2018; the files are read as its authors' code reads them.
    """
    path, rows, pairs = Path(data_dir) / _SFM_NAMES[kind], [], []
    if not path.is_file():
        raise UserError(f"--data_dir: no {path.name} in {path.parent}: put it there")
    database = load_ground_truth_pickle(path)
    for split in ("train", "val"):
        try:
            names, models, *found = (list(database[split][key]) for key in _SFM_COLUMNS)
            found = np.array(found, np.int64).T.reshape(-1, 2)
            are_names = all(map(_CID.fullmatch, names)) and len(names) == len(models)
            if not are_names or (found.size and not 0 <= found.min() <= found.max() < len(names)):
                raise ValueError("lists that don't fit each other")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{path}: {split} must hold {', '.join(_SFM_COLUMNS)}, lists of names, numbers of "
                "models, and rows of matching images; get it anew"
            ) from error
        pairs.append(len(rows) + found[found[:, 0] != found[:, 1]])
        folder = Path(data_dir) / "ims"
        rows += [
            (str(folder / name[-2:] / name[-4:-2] / name[-6:-4] / name), f"{split}-{model}", split)
            for name, model in zip(names, models, strict=True)
        ]
    return _listing(kind, path, rows, [row[0] for row in rows], np.concatenate(pairs))


_LISTS = {
    "gldv2_clean": list_gldv2,
    "landmarks_clean": list_clean_landmarks,
    "products": list_products,
    "cub200": list_cub,
    "cars196": list_cars,
    **{kind: partial(list_sfm, kind) for kind in _SFM_NAMES},
}


def read_listing(kind, data_dir):
    """The `Listing` of a set, or None of one that TensorFlow Datasets has in this folder."""
    first = {"cub200": _CUB_LIST, "cars196": _CARS_LIST}.get(kind)
    if first and not (Path(data_dir) / first).is_file():
        return None
    return _LISTS[kind](data_dir)


def _class_halves(kind, path, pairs):
    half = max((number for _, number in pairs), default=0) // 2
    rows = [(str(p), f"{n:03d}", "train" if n <= half else "test") for p, n in pairs]
    return _listing(kind, path, rows, [row[0] for row in rows])


def _listing(kind, path, rows, origins, pairs=None):
    if not rows:
        raise UserError(f"{path}: lists no images; get it anew")
    return Listing(kind, rows, origins, pairs)


def _lines(path, header=None):
    """The `(line number, text)` of the lines below a header that are not blank."""
    if not path.is_file():
        raise UserError(f"--data_dir: no {path.name} in {path.parent}: put it there")
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, start=1)]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text in UTF-8 ({error.reason})") from error
    lines = [(number, line) for number, line in lines if line]
    first = lines.pop(0)[1] if lines and header else "empty"
    if header and first != header:
        raise UserError(f"{path}: its first line must be {header} and is {first}")
    return lines
