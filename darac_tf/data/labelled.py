"""Labelled image collections: a folder per class, or a CSV file."""

import csv
import logging
import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.choices import DEFAULT_MAX_PIXELS
from darac_tf.data.images import (
    IMAGE_SUFFIXES,
    images_below,
    say_left_out,
    visible,
    visible_images,
)
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError, printable
from darac_tf.files import atomic_path, exists

CSV_NAME = "labels.csv"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledImages:
    """Images with a class each."""

    name: str  # What reports call the collection.
    paths: np.ndarray  # String array `(images,)`.
    labels: np.ndarray  # int64 array `(images,)`, indices into `class_names`.
    class_names: tuple[str, ...]  # Names of the classes, sorted.
    splits: np.ndarray  # String array `(images,)`, empty strings where none is given.
    # int64 `(pairs, 2)`, rows of a query and of an image that matches it; None where all images of
    # a class match.
    pairs: np.ndarray | None = None
    # As of `ImageList`.
    upright: bool = True
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __len__(self):
        return len(self.paths)

    def read(self, indices):
        """The files of images, for `tf.data` maps: a scalar int tensor to a string tensor."""
        return tf.io.read_file(self._paths_tensor[indices])

    @cached_property
    def _paths_tensor(self):
        # Outside of the graph of a map, which would hold all paths.
        with tf.init_scope():
            return tf.constant([*map(os.fsencode, self.paths)], tf.string)

    @classmethod
    def from_rows(cls, name, rows, pairs=None):
        """Makes a collection of `(path, class name, split)` rows."""
        paths, names, splits = zip(*rows, strict=True)
        class_names, labels = np.unique(np.array(names), return_inverse=True)
        classes = tuple(map(str, class_names))
        return cls(name, np.array(paths), labels, classes, np.array(splits), pairs)

    def image_list(self, rows=slice(None)):
        """`ImageList` of all images, or of some rows."""
        how = {"upright": self.upright, "max_pixels": self.max_pixels}
        return ImageList(self.paths[rows], **how)

    def rows(self):
        """`(path, class name, split)` of each image."""
        names = (self.class_names[label] for label in self.labels)
        return list(zip(map(str, self.paths), names, map(str, self.splits), strict=True))

    def select(self, mask, name=None):
        """The images where a boolean `mask` holds, with only their classes and pairs.

        `UserError` if there are none.
        """
        if not np.any(mask):
            raise UserError(f"{self.name}: no image is left of the {len(self)}")
        rows = [row for row, keep in zip(self.rows(), mask, strict=True) if keep]
        pairs = self.pairs
        if pairs is not None:
            pairs = (np.cumsum(mask) - 1)[pairs[mask[pairs].all(axis=1)]]
        chosen = self.from_rows(name or self.name, rows, pairs)
        return replace(chosen, upright=self.upright, max_pixels=self.max_pixels)

    def split(self, name):
        """The images of one split; `UserError` if no image has it."""
        if name not in self.splits:
            known = ", ".join(sorted(set(self.splits) - {""})) or "none"
            raise UserError(f"{self.name}: no image has split {name!r} (splits there: {known})")
        return self.select(self.splits == name, f"{self.name}:{name}")

    def hold_out_classes(self, count, seed):
        """Splits by class: `(images of the other classes, images of `count` classes)`.

        `UserError` if fewer than two classes would stay for training.
        """
        most = len(self.class_names) - 2
        if not 0 < count <= most:
            advice = f"--val_classes={most} is the most that works" if most > 0 else "add classes"
            raise UserError(
                f"--val_classes={count}: {self.name} has {most + 2} classes, and at least one must "
                f"be held out and two stay for training: {advice}"
            )
        held_out = np.random.default_rng(seed).permutation(len(self.class_names))[:count]
        mask = np.isin(self.labels, held_out)
        return self.select(~mask, f"{self.name}:train"), self.select(mask, f"{self.name}:held_out")

    def check_for_training(self):
        """`UserError` with one class only, or where a class of one image has no listed pairs."""
        if len(self.class_names) < 2:
            raise UserError(
                f"{self.name}: only the class {self.class_names[0]!r}; training needs at least two"
            )
        counts = np.bincount(self.labels)
        if counts.min() < 2 and getattr(self, "pairs", None) is None:
            lone = self.class_names[int(np.argmin(counts))]
            raise UserError(
                f"{self.name}: fewer than two images in class {lone!r}; add images of it or "
                "remove the class"
            )

    def write_csv(self, path):
        """Writes `path,label,split` with absolute paths, which `read_csv` reads back."""
        write_rows(path, ((Path(p).resolve(), label, split) for p, label, split in self.rows()))


def write_rows(path, rows):
    """Writes `(path, class name, split)` of images as the CSV file that `read_csv` reads."""
    write_table(path, ("path", "label", "split"), ((as_text(path), *rest) for path, *rest in rows))


def write_table(path, names, rows):
    """Writes a CSV file with these column names, whole or not at all."""
    how = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    with atomic_path(path) as temporary, temporary.open("w", **how) as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)


def as_text(path):
    r"""A path as files of text name it.

    Bytes that are no UTF-8 become `\udc80` to `\udcff`, and what looks so `\udc5cudc`.
    """
    text = str(path).replace("\\udc", "\\udc5cudc")
    return text.encode("utf-8", "backslashreplace").decode()


def read_folder(folder):
    """Reads `folder/<class>/<image>`.

    `UserError` if there is no such folder, or no class folder with images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--data_dir: no such folder: {folder}")
    rows, left_out = [], []
    for class_folder in visible(sorted(p for p in folder.iterdir() if p.is_dir()), left_out):
        label = printable(class_folder.name)
        images = visible_images(sorted(class_folder.iterdir()), left_out)
        rows += [(str(path), label, "") for path in images]
    say_left_out(folder, left_out)
    if not rows:
        raise UserError(
            f"--data_dir: {folder} has no class folders with images "
            f"({', '.join(IMAGE_SUFFIXES)}) in them"
        )
    return LabelledImages.from_rows(printable(folder.resolve().name), rows)


def read_csv(file):
    """Reads a CSV file with the columns `path`, `label` and, if wanted, `split`.

    It may be a folder with a `labels.csv`; paths in the file are relative to its folder, and blanks
    around labels and splits are no part of them. `UserError` if the file or a column is missing, a
    row comes twice, has more values than there are columns or a quote that is not closed.
    """
    file = Path(file)
    file = file / CSV_NAME if file.is_dir() else file
    if not file.is_file():
        raise UserError(f"--data_dir: no such CSV file: {file}")
    rows = {}
    for line, row in _csv_rows(file):
        path, label, split = (row.get(name) or "" for name in ("path", "label", "split"))
        row_fault = None
        if not path or not label.strip():
            row_fault = "no path or no label"
        elif None in row:  # Where csv keeps what no column has.
            row_fault = "more values than columns; quote a name that has a comma"
        elif "\0" in path:
            row_fault = "no path has a NUL in it"
        if row_fault:
            raise UserError(f"--data_dir: {file}, line {line}: {row_fault}")
        row = as_named(str(file.parent / path)), label.strip(), split.strip()
        if (first := rows.setdefault(row, line)) != line:
            raise UserError(f"--data_dir: {file}, line {line}: repeats line {first}; remove it")
    missing = sum(not split for *_, split in rows)
    if 0 < missing < len(rows):
        _LOG.warning("%s: %d of %d images have no split, and are in none", file, missing, len(rows))
    folder = file.parent.resolve().name
    name = folder if file.name == CSV_NAME else f"{folder}/{file.stem}"
    return LabelledImages.from_rows(printable(name), rows)


def _csv_rows(file):
    """`(number of its last line, dictionary by column)` of each row, a list."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            # Strict: a quote that is not closed would take the rows up to the next one for a name.
            reader = csv.DictReader(opened, strict=True)
            table, columns = [(reader.line_num, row) for row in reader], reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data_dir: {file} is no CSV file in UTF-8 ({error})") from error
    for column in ("path", "label"):
        if column not in columns:
            raise UserError(
                f"--data_dir: {file} has no column {column!r}; its first line must be "
                f"path,label[,split] and is {','.join(columns) or 'empty'}"
            )
    if not table:
        raise UserError(f"--data_dir: {file} lists no images")
    return table


def image_files(flag, where):
    """Paths of images below a folder, sorted, or of a CSV file of `read_csv`, each once.

    `flag` is the name of the one that says `where`, for messages. `UserError` if there is no such
    folder or file, or no image.
    """
    where = Path(where)
    if where.is_file():
        return list(dict.fromkeys(map(str, read_csv(where).paths)))
    if not where.is_dir():
        raise UserError(f"{flag}={where} is neither: give a folder with images, or a CSV file")
    found = images_below(where)
    if not found:
        raise UserError(f"{flag}={where}: no image ({', '.join(IMAGE_SUFFIXES)}) below it")
    return found


def spread_files(flag, where, limit):
    """At most `limit` of `image_files`, evenly spread; its errors."""
    paths = image_files(flag, where)
    chosen = np.linspace(0, len(paths) - 1, min(limit, len(paths))).round().astype(int)
    return [paths[index] for index in chosen]


def as_named(path):
    """A path with the bytes that `as_text` has escaped."""
    byte = r"\\udc(5c|[89a-f][0-9a-f])"
    name = re.sub(byte, lambda found: os.fsdecode(bytes.fromhex(found[1])), path)
    return path if exists(path) else name
