"""Bringing an index up to date with folders: only new and changed files are described."""

import contextlib
import itertools
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from darac_tf.data.content_keys import VIEW_KEY_BYTES, content_key
from darac_tf.data.images import IMAGE_SUFFIXES, say_left_out, visible, visible_images
from darac_tf.data.pillow_files import is_lying_portrait
from darac_tf.errors import UserError
from darac_tf.search.file_table import UNKNOWN
from darac_tf.threads import look_ahead

# Larger than any photograph; the files that are read ahead lie in memory.
MAX_FILE_BYTES = 128 << 20
_THREADS, _AHEAD = 4, 8
_BATCH_BYTES = 64 << 20
# Files that need no description, such as moved ones, are entered in groups of this many.
_ENTERED_AT_ONCE = 512
_LISTED_AT_ONCE = 4096
# File systems tell time in steps of up to two seconds: a file that was written so shortly before it
# was read may change again without a change of its time.
_CLOCK_STEP_NS = 2 * 10**9


@dataclass(frozen=True)
class Changes:
    """What an update did, in files."""

    total: int  # Images below the folders.
    new: int  # Of these, not known before under this path.
    changed: int  # Of these, with another content than before.
    removed: int  # Dropped, because they are gone.
    described: int  # Images that went through the model; copies and moved files don't.
    seconds: float  # What describing took, with reading.
    compacted: int  # Vectors removed because no file needed them any more.
    lying: list  # Paths of portraits that were laid down, see `data.exif.lying_portraits`.
    # List of `(path, what is wrong)` of files below the folders that are not searched.
    faults: list


def update(index, model, folders, batch_images=32, progress=True):
    """Describes what is new or changed below folders, and drops what is gone there.

    A file is new by its path, and changed by its size or time; it is described if no file of the
    same content was. Other folders' files in the index stay. Interrupted, it has lost the batch at
    hand only.

    Args:
        index: `Index`, within `writing`.
        model: `ExportedModel` of the index.
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
    folders = [_absolute(folder) for folder in folders]
    faults = {}
    total = sum(_list_folder(index.files, folder, faults) for folder in folders)
    with index.files.transaction():
        for path in faults:
            index.files.list_known(path)
        removed = sum(index.files.remove_unlisted(folder) for folder in folders)
    new, known = index.files.count_outdated()
    begin = time.monotonic()
    lying = []
    described, changed = _describe(index, model, new + known, batch_images, progress, lying)
    seconds = time.monotonic() - begin
    compacted = index.compact()
    for folder in folders:
        faults = {**dict(index.files.faults(folder)), **faults}
    faults = [(os.fsdecode(path), faults[path]) for path in sorted(faults)]
    return Changes(total, new, changed, removed, described, seconds, compacted, lying, faults)


def check_folders(folders):
    """Refuses folders of which no index can be made, with a `UserError`; reads no image."""
    for folder in map(_absolute, folders):
        faults = {}
        if next(_image_files(folder, faults), None) is None:
            _refuse(folder, faults)


def forget(index, folders):
    """Drops the files below folders, which need not exist, from an `Index`; returns how many.

    Works within `writing`.
    """
    with index.files.transaction():
        count = sum(index.files.remove(_absolute(folder)) for folder in folders)
    index.compact()
    return count


def _absolute(path):
    """The path that an index keeps, as bytes: absolute, links not resolved, without `..`."""
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - pathlib keeps `..`


def _list_folder(table, folder, faults):
    """Lists a folder's images in the `FileTable`; returns how many there are."""
    count, files = 0, _image_files(folder, faults)
    while some := list(itertools.islice(files, _LISTED_AT_ONCE)):
        with table.transaction():
            table.list_files(some)
        count += len(some)
    if folder in faults or not count:
        _refuse(folder, faults, table.count(folder))
    return count


def _refuse(folder, faults, known=0):
    shown = Path(os.fsdecode(folder))
    if not shown.is_dir():
        raise UserError(f"no such folder: {shown}")
    if folder in faults:
        raise UserError(f"{shown} {faults[folder]}; change its rights or name another folder")
    hint = f"; `forget {shown}` drops the {known} that the index knows" if known else ""
    raise UserError(f"{shown} holds no image ({', '.join(IMAGE_SUFFIXES)}){hint}")


def _image_files(folder, faults):
    """Walks a folder: images by the ends of their names, in the order of names.

    What is not `visible` is left out. Links to files are followed, links to folders are not, so
    that the walk ends.

    Yields:
        `(path as bytes, size, mtime_ns)`. Paths of what can't be looked at go to `faults`.
    """

    def note(error):
        faults[error.filename] = f"can't be listed: {error.strerror}"

    left_out = []
    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = visible(sorted(folders), left_out)
        for name in visible_images(sorted(names), left_out):
            path = os.path.join(parent, name)  # noqa: PTH118 - pathlib takes no bytes
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError as error:
                faults[path] = f"can't be read: {error.strerror}"
                continue
            yield path, status.st_size, status.st_mtime_ns
    say_left_out(os.fsdecode(folder), left_out)


class _File(NamedTuple):
    """What was read of a file: see `FileTable`; `data` is its content where it could be read."""

    path: bytes
    size: int = UNKNOWN
    mtime_ns: int = UNKNOWN
    key: bytes | None = None
    fault: str | None = None
    data: bytes | None = None
    is_lying: bool = False  # A portrait that its Exif orientation would lay down.


def _read(path, is_upright):
    try:
        # Whoever put a pipe there meanwhile must not make this wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return _File(path, fault="is no file")
            size, mtime_ns = status.st_size, status.st_mtime_ns
            if mtime_ns > time.time_ns() - _CLOCK_STEP_NS:
                mtime_ns = UNKNOWN
            if size > MAX_FILE_BYTES:
                fault = f"is larger than {MAX_FILE_BYTES >> 20} MB"
                return _File(path, size, mtime_ns, fault=fault)
            # Not all there is: it may grow without end while it is read.
            data = file.read(size + 1)
    except OSError as error:
        # A change of rights does not change the time of a file.
        return _File(path, fault=f"can't be read: {error.strerror}")
    if len(data) != size:  # it is being written
        size = UNKNOWN
    key = content_key(data).ljust(VIEW_KEY_BYTES, b"\0")
    return _File(path, size, mtime_ns, key, None, data, is_upright and is_lying_portrait(data))


def _describe(index, model, n_files, batch_images, progress, lying):
    """Describes outdated files; returns how many images were described, and files changed.

    Paths of portraits that are laid down go to `lying`.
    """
    read = partial(_read, is_upright=model.is_upright)
    counts, hide = np.zeros(2, int), not progress or not n_files
    with (
        index.table.writing(),
        tqdm(total=n_files, desc="index", unit=" images", disable=hide) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
        contextlib.closing(look_ahead(pool, read, index.files.outdated(), _AHEAD)) as files,
    ):
        for entered, contents in _batches(index, files, batch_images):
            counts += _enter(index, model, entered, contents)
            lying += [os.fsdecode(file.path) for file in entered if file.is_lying]
            bar.update(len(entered))
    return tuple(counts.tolist())


def _batches(index, files, batch_images):
    """Yields lists of files to enter together, and by key their contents to describe first."""
    entered, contents, size = [], {}, 0
    for file in files:
        if file.key is not None and file.key not in contents and not _has_vector(index, file.key):
            contents[file.key] = file.data
            size += len(file.data)
        entered.append(file._replace(data=None))
        is_large = len(contents) >= batch_images or size >= _BATCH_BYTES
        if is_large or len(entered) >= _ENTERED_AT_ONCE:
            yield entered, contents
            entered, contents, size = [], {}, 0
    yield entered, contents


def _has_vector(index, key):
    """Whether there is one: from before, or of a file that this run has entered."""
    before = index.table.find(np.frombuffer(key, np.uint8)[None])[0] >= 0
    return before or index.files.has_key(key)


def _enter(index, model, files, contents):
    """Writes the vectors, then the files; returns how many were described, and changed."""
    bad, changed = set(), 0
    if contents:
        vectors, valid = model(list(contents.values()))
        keys = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, VIEW_KEY_BYTES)
        if valid.any():
            index.table.append(keys[valid], vectors[valid])
        bad = {key.tobytes() for key in keys[~valid]}
    with index.files.transaction():
        for path, size, mtime_ns, key, fault, *_ in files:
            if key in bad:
                key, fault = None, model.no_image
            changed += index.files.put(path, size, mtime_ns, key, fault)
    return len(contents), changed
