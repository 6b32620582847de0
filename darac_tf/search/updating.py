"""Bringing an index up to date with folders: only new and changed files are described."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from darac_tf.data.content_keys import VIEW_KEY_BYTES
from darac_tf.data.images import IMAGE_SUFFIXES
from darac_tf.errors import UserError
from darac_tf.search.listing import image_files
from darac_tf.search.reading import read_ahead

NO_IMAGE = "cannot be decoded as an image, or is too large"
_BATCH_BYTES = 64 << 20
# Files that need no description, such as moved ones, are entered in groups of this many.
_ENTERED_AT_ONCE = 512
_NOTED_AT_ONCE = 4096


@dataclass(frozen=True)
class Changes:
    """What an update did, in files.

    Attributes:
        total: Images below the folders.
        new: Of these, not known before under this path.
        changed: Of these, with another content than before.
        removed: Dropped, because they are gone.
        described: Images that went through the model; copies and moved files don't.
        seconds: What describing took, with reading.
        compacted: Vectors removed because no file needed them any more.
        faults: List of `(path, what is wrong)` of files below the folders that are not searched.
    """

    total: int
    new: int
    changed: int
    removed: int
    described: int
    seconds: float
    compacted: int
    faults: list


def update(index, describer, folders, batch_images=32, progress=True):
    """Describes what is new or changed below folders, and drops what is gone there.

    A file is new by its path, and changed by its size or time; it is described if no file of the
    same content was. Other folders' files in the index stay. Interrupted, it has lost the batch at
    hand only.

    Args:
        index: `IndexFolder`, within `writing`.
        describer: `ExportedDescriber` of its model.
        folders: List of folders. Each must hold an image, so that a disk that is not mounted does
            not empty the index (`forget` does).
        batch_images: Most images that are described at once, at least 1.
        progress: Whether to show a progress bar.

    Returns:
        `Changes`.

    Raises:
        UserError: If there is no such folder, one holds no image, the model fails, or the index
            can't be written.
        ValueError: If `batch_images` is below 1.
    """
    if batch_images < 1:
        raise ValueError(f"batch_images must be at least 1. Received: {batch_images}")
    folders = [absolute(folder) for folder in folders]
    faults = {}
    total = sum(_note_files(index, folder, faults) for folder in folders)
    removed = sum(index.files.remove_missing(folder, list(faults)) for folder in folders)
    new, known = index.files.plan()
    begin = time.monotonic()
    described, changed = _describe(index, describer, new + known, batch_images, progress)
    seconds = time.monotonic() - begin
    return Changes(
        total=total,
        new=new,
        changed=changed,
        removed=removed,
        described=described,
        seconds=seconds,
        compacted=index.compact(),
        faults=_all_faults(index, folders, faults),
    )


def forget(index, folders):
    """Drops the files below folders, which need not exist; returns how many.

    Args:
        index: `IndexFolder`, within `writing`.
        folders: List of folders.
    """
    with index.files.transaction():
        count = sum(index.files.remove_below(absolute(folder)) for folder in folders)
    index.compact()
    return count


def absolute(path):
    """The path that an index keeps, as bytes: absolute, links not resolved, without `..`."""
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - pathlib keeps `..`


def _note_files(index, folder, faults):
    """Lists a folder's images in the index's plan; returns how many there are."""
    shown = Path(os.fsdecode(folder))
    if not shown.is_dir():
        raise UserError(f"no such folder: {shown}")
    count = 0
    noted = []
    for file in image_files(folder, faults.__setitem__):
        noted.append(file)
        count += 1
        if len(noted) == _NOTED_AT_ONCE:
            index.files.note_found(noted)
            noted = []
    index.files.note_found(noted)
    if folder in faults:
        raise UserError(f"{shown} {faults[folder]}; change its rights or name another folder")
    if not count:
        known = index.files.count(folder)
        hint = f"; `forget {shown}` drops the {known} that the index knows" if known else ""
        raise UserError(f"{shown} holds no image ({', '.join(IMAGE_SUFFIXES)}){hint}")
    return count


def _describe(index, describer, n_files, batch_images, progress):
    """Describes the planned files; returns how many images were described, and files changed."""
    done, hide = np.zeros(2, int), not progress or not n_files
    with (
        index.table.writing(),
        tqdm(total=n_files, desc="index", unit=" images", disable=hide) as bar,
        contextlib.closing(read_ahead(index.files.planned())) as files,
    ):
        batch = _Batch(index, batch_images)
        for file in files:
            batch.add(file)
            if batch.is_full:
                done += batch.enter(describer)
                bar.update(len(batch.files))
                batch = _Batch(index, batch_images)
        done += batch.enter(describer)
        bar.update(len(batch.files))
    return tuple(done.tolist())


class _Batch:
    """Files that are entered in the index together, and the contents to describe for them."""

    def __init__(self, index, batch_images):
        self._index = index
        self._batch_images = batch_images
        self._data = {}
        self._bytes = 0
        self.files = []

    @property
    def is_full(self):
        return (
            len(self._data) >= self._batch_images
            or self._bytes >= _BATCH_BYTES
            or len(self.files) >= _ENTERED_AT_ONCE
        )

    def add(self, file):
        """Takes a `ReadFile`; its content is kept only if it has to be described."""
        key = file.key
        if key is not None and key not in self._data and not self._is_known(key):
            self._data[key] = file.data
            self._bytes += len(file.data)
        self.files.append((file.path, file.size, file.mtime_ns, key, file.fault))

    def enter(self, describer):
        """Writes the vectors, then the files; returns how many were described, and changed."""
        bad, changed = set(), 0
        if self._data:
            vectors, valid = describer(list(self._data.values()))
            keys = np.frombuffer(b"".join(self._data), np.uint8).reshape(-1, VIEW_KEY_BYTES)
            if valid.any():
                self._index.table.append(keys[valid], vectors[valid])
            bad = {key.tobytes() for key in keys[~valid]}
        with self._index.files.transaction():
            for path, size, mtime_ns, key, fault in self.files:
                if key in bad:
                    key, fault = None, NO_IMAGE
                changed += self._index.files.put(path, size, mtime_ns, key, fault)
        return len(self._data), changed

    def _is_known(self, key):
        """Whether there is a vector: from before, or of a file that this run has entered."""
        before = self._index.table.find(np.frombuffer(key, np.uint8)[None])[0] >= 0
        return before or self._index.files.has_key(key)


def _all_faults(index, folders, faults):
    """Faults of this listing and of the files in the index, sorted; paths as strings."""
    known = (file for folder in folders for file in index.files.faults(folder))
    both = {**dict(known), **faults}
    return [(os.fsdecode(path), both[path]) for path in sorted(both)]
