"""What the page searches in: an index that is held open, the model that made it, and thumbnails.

An image is known outside by the row of its vector, which stays while the index only grows, and is
another when the index is rewritten: each `Snapshot` that no longer continues the one before has
another `generation`, and what was asked for of an earlier one is refused.
"""

import contextlib
import os
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.data.content_keys import VIEW_KEY_BYTES, content_key
from darac_tf.data.images import content_size, read_image
from darac_tf.data.views import ImageList, read_views
from darac_tf.errors import UserError
from darac_tf.files import common_folder
from darac_tf.reports.thumbnails import jpeg, thumbnail
from darac_tf.rows import unit_rows
from darac_tf.search.faiss_index import automatic_kind, load_faiss_index
from darac_tf.search.index import Index, check_model
from darac_tf.search.query import Found, Query, describe, rank
from darac_tf.search.updates import MAX_FILE_BYTES
from darac_tf.web.thumbnail_store import ThumbnailStore

THUMBNAIL_SIDE, PREVIEW_SIDE = 256, 1024
# How much of the mean of those that the result shall not be like is taken off, as in Rocchio's
# relevance feedback (1971).
_MINUS = 0.5


class GoneError(UserError):
    """What was asked for belongs to an index that was rewritten meanwhile, or isn't there."""


@dataclass(frozen=True)
class Snapshot:
    """An index as it was at a moment."""

    index: Index
    generation: str
    keys: np.ndarray  # uint8 (images, 24), of `live`.
    live: np.ndarray  # int64 (images,), rising: rows that are searched.
    root: str | None  # The folder that all images share.
    folders: list[tuple[bytes, int]]  # Folders below it, with the number of images in each.
    faiss_index: object | None


class Collection:
    """An index and its model, for several threads.

    Args:
        folder: Folder of the index.
        model: Its `ExportedModel`.
        max_pixels: Pictures of more are not described.

    Raises:
        UserError: If the index is none, is damaged, or was made with another model.
    """

    def __init__(self, folder, model, max_pixels):
        self.folder, self.model = Path(folder), model
        self._max_pixels = min(max_pixels, model.max_pixels)
        self._turns = None if model.is_upright else 0
        self.snapshot = self._open(None)
        self.thumbnails = ThumbnailStore(self.folder)
        self.thumbnails.keep(self.snapshot.keys)

    def take_in(self):
        """Opens the index as it is now; what was open stays where it can't be."""
        self.snapshot = self._open(self.snapshot)

    def at(self, generation):
        """The `Snapshot` that is open; `GoneError` if it is not of this generation."""
        snapshot = self.snapshot
        if generation != snapshot.generation:
            raise GoneError("the index was rewritten: load this page again")
        return snapshot

    def describe(self, path, part=None, box=None):
        """Describes a picture, or a part of it.

        Args:
            path: Its file.
            part: `left, top, right, bottom` as shares of its sides, in [0, 1]; None for the whole.
            box: The same in pixels, as `search.query.Query` has it.

        Returns:
            Unit vector, float32 `(dimension,)`.

        Raises:
            UserError: If it is no picture, is too large, or the part is none.
        """
        images = ImageList(
            np.array([str(path)]), upright=self.model.is_upright, max_pixels=self._max_pixels
        )
        views, _ = read_views(images)
        box = box if part is None else _pixels(part, *views.whole[0])
        return describe(self.model, [Query(str(path), box)])[0]

    def search(self, snapshot, plus, minus, folder, offset, count):
        """Some of the images that are like some vectors, and not like others.

        Args:
            snapshot: A `Snapshot`.
            plus: Vectors, float32 `(n, dimension)`: the mean of them is searched with.
            minus: Vectors, of whose mean a half is taken off. With no vectors at all, images come
                as they lie in the index, with a similarity of None.
            folder: Path of one of the folders, text, or None for all.
            offset: Images to leave out at the front, 0 or more.
            count: Images to find, 1 or more.

        Returns:
            Tuple of a list of `search.query.Found`, and the number of images that are searched.

        Raises:
            UserError: If nothing is left of the vectors.
            GoneError: If there is no such folder.
        """
        rows, below = snapshot.live, None
        if folder is not None:
            below = {os.fsdecode(path): path for path, _ in snapshot.folders}.get(folder)
            if below is None:
                raise GoneError("no such folder: load this page again")
            rows = rows[np.isin(rows, snapshot.index.table.find(snapshot.index.files.keys(below)))]
        if len(plus) + len(minus) == 0:
            files, shown = snapshot.index.files, rows[offset : offset + count]
            keys = snapshot.keys[np.searchsorted(snapshot.live, shown)]
            paths = (files.paths(key.tobytes()) for key in keys)
            found = [Found(int(row), None, own) for row, own in zip(shown, paths, strict=True)]
        else:
            vector, many = _combined(plus, minus), offset + count
            (found,) = rank(snapshot.index, vector, many, snapshot.faiss_index, folder=below)
            found = found[offset:]
        if below is not None:
            for each in found:
                each.paths.sort(key=lambda path: not path.startswith(below + b"/"))
        # A search leaves out what it finds damaged.
        return found, len(rows) if len(found) == count else min(len(rows), offset + len(found))

    def vector(self, snapshot, row):
        """The vector of an image, float32 `(dimension,)`; `GoneError` if there is none."""
        self._key(snapshot, row)
        return np.array(snapshot.index.vectors(np.array([row]))[0:1][0])

    def paths(self, snapshot, row):
        """Paths of the files of an image, as bytes."""
        return snapshot.index.files.paths(self._key(snapshot, row))

    def file(self, snapshot, row):
        """Path and bytes of a file of an image as it was indexed; `GoneError` if none is left."""
        key = self._key(snapshot, row)
        for path in map(os.fsdecode, snapshot.index.files.paths(key)):
            with contextlib.suppress(UserError):
                if content_size(path) <= MAX_FILE_BYTES:
                    data = read_image(path)
                    if content_key(data).ljust(VIEW_KEY_BYTES, b"\0") == key:
                        return path, data
        raise GoneError("the file is gone, or was changed since: index again")

    def thumbnail(self, snapshot, row):
        """The bytes of a small JPEG of an image, made once; `GoneError` if its file is."""
        key = self._key(snapshot, row)
        data = self.thumbnails.get(key)
        if data is None:
            data = self.picture(self.file(snapshot, row)[0], THUMBNAIL_SIDE)
            self.thumbnails.put(key, data)
        return data

    def picture(self, path, long_side=PREVIEW_SIDE, max_pixels=None):
        """The bytes of a JPEG of a file, as the model looks at it.

        `UserError` if it is none, or has more pixels.
        """
        return jpeg(thumbnail(path, long_side, turns=self._turns, max_pixels=max_pixels))

    def picture_of_upload(self, path):
        """As `picture`, of what may be of any size."""
        return self.picture(path, max_pixels=self._max_pixels)

    def _key(self, snapshot, row):
        place = np.searchsorted(snapshot.live, row)
        if place == len(snapshot.live) or snapshot.live[place] != row:
            raise GoneError(f"no such image: {row}")
        return snapshot.keys[place].tobytes()

    def _open(self, before):
        index = Index(self.folder)
        check_model(self.folder, index.settings, self.model)
        keys, live = index.live()
        if not len(live):
            raise UserError(f"{self.folder} holds no image yet: index again")
        generation = secrets.token_hex(4)
        if before is not None and _continues(index, before.index):
            generation = before.generation
        root, folders = _folders(index.files.folders())
        kind = automatic_kind(len(live))
        faiss_index = kind and load_faiss_index(index, kind)
        return Snapshot(index, generation, keys, live, root, folders, faiss_index)


def _continues(index, before):
    """Whether an index has all rows of another where they were."""
    if index.settings != before.settings:
        return False
    old, new = before.table.keys(), index.table.keys()
    return len(old) <= len(new) and np.array_equal(old, new[: len(old)])


def _folders(counts):
    """The folder of all, and every folder below it with the number of images in it, by name."""
    root = common_folder([os.path.join(os.fsdecode(path), "x") for path in counts])  # noqa: PTH118
    totals, base = Counter(), os.fsencode(root or "/")
    for path, count in counts.items():
        while len(path) > len(base):
            totals[path] += count
            path = os.path.dirname(path)  # noqa: PTH120 - bytes
    return root, sorted(totals.items())


def _combined(plus, minus):
    weights = ((1, plus), (-_MINUS, minus))
    parts = [weight * np.mean(each, axis=0) for weight, each in weights if len(each)]
    vector = np.sum(parts, axis=0, keepdims=True)
    if not np.linalg.norm(vector) > 1e-6:
        raise UserError("nothing is left to search with: take other pictures")
    return unit_rows(vector.astype(np.float32))


def _pixels(part, height, width):
    """The box in whole pixels of a part, at least one of them."""
    left, top, right, bottom = part
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UserError(f"a part of a picture must lie in it. Received: {part}")
    xmin, ymin = min(int(left * width), width - 1), min(int(top * height), height - 1)
    xmax, ymax = max(round(right * width), xmin + 1), max(round(bottom * height), ymin + 1)
    return int(xmin), int(ymin), int(xmax), int(ymax)
