"""The folder of an index: its settings, its lock, and which of its vectors are in use.

`index.json` says which model made the vectors and in which subfolder they are, a
`describing.feature_table.FeatureTable`: found by content, only ever added to, each with a checksum,
which is compared on demand, and before vectors are copied. `files.sqlite` is the `FileTable`. A
vector is written before the file that needs it is entered, so whatever moment a program ends at,
each file that is entered has its vector.

Vectors that no file needs any more stay until they are a fourth of all. Then the others are copied
to a new subfolder, and `index.json` is replaced, which is the moment of change.
"""

import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

from darac_tf.choices import INDEX_FILE, KEPT_IN, PARTS_INDEX_FILE
from darac_tf.describing.feature_cache import CachedRows
from darac_tf.describing.feature_table import FeatureTable
from darac_tf.errors import UserError
from darac_tf.files import atomic_path, only_writer
from darac_tf.search.file_table import FileTable

_FILES, _LOCK = "files.sqlite", "lock"
# 2: keys of `data.content_keys`.
_FORMAT = 2
_KINDS = {"format": int, "model": str, "dimension": int, "vectors": str, "model_folder": str}
_DEAD_SHARE = 0.25
_COPY_ROWS = 1024
# What an interrupted `atomic_path` or compaction leaves.
_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\..+|vectors-[0-9]+")


class Index(contextlib.AbstractContextManager):
    """An index that is open; `with` closes it.

    Args:
        folder: The folder.
        writable: Used by `writing`.

    Attributes:
        settings: See `read_settings`.
        table: `FeatureTable` of the vectors.
        files: `FileTable`.
        lost: Paths of files whose vectors `writing` found to be lost.

    Raises:
        UserError: If it is no index, or damaged.
    """

    def __init__(self, folder, writable=False):
        self.folder = Path(folder)
        self.settings = read_settings(self.folder)
        self.table = self._open_table()
        # A writer may have compacted it in between, and removed what was just looked at.
        while (settings := read_settings(self.folder)) != self.settings:
            self.settings = settings
            self.table = self._open_table()
        self.files = FileTable(self.folder / _FILES, writable)
        self.lost = []
        self._is_writable, self._live = writable, None
        self._version = self.files.version()

    def __exit__(self, *_):
        self.files.close()

    def live(self, check=False):
        """The vectors that files need, in the order in which they lie on disk.

        With `check`, their checksums are compared, and damaged ones are left out. An index that is
        only read stays as it was when this was first called, but for what is found to be damaged.

        Returns:
            Tuple of keys, uint8 `(n, 24)`, and their rows in `table.rows()`, int64 `(n,)`.
        """
        if not check and self._live is not None and self._live[0] == self.table.damaged:
            return self._live[1:]
        keys = self.files.keys() if self._live is None else self._live[1]
        rows = self.table.find(keys)
        if check and self.table.check(rows):
            rows = self.table.find(keys)
        order = np.argsort(rows, kind="stable")
        # Keys that a writer entered after the table was opened, or lost, are at the front.
        order = order[np.count_nonzero(rows < 0) :]
        keys, rows = keys[order], rows[order]
        if not self._is_writable:
            self._live = self.table.damaged, keys, rows
        return keys, rows

    def news(self):
        """`(number of vectors, whether there is anything)` that was written since it was opened."""
        is_other = self.files.version() != self._version
        with contextlib.suppress(UserError):
            is_other |= read_settings(self.folder)["vectors"] != self.settings["vectors"]
        unread = self.table.unread()
        return unread, bool(is_other or unread)

    def vectors(self, rows):
        """Some rows as what reads like a float32 array `(n, dimension)`, from disk."""
        on_disk = self.table.rows()
        if not on_disk.shape[1]:
            on_disk = np.empty((0, self.settings["dimension"]), np.float32)
        if on_disk.dtype == np.float32 and np.array_equal(rows, np.arange(len(on_disk))):
            return on_disk
        return CachedRows(on_disk, np.asarray(rows, np.int64))

    def lose_damaged(self):
        """Has files read again whose vectors are lost: a disk was damaged, a machine stopped.

        Returns their paths; works within `writing` only.
        """
        keys = self.files.keys()
        with self.files.transaction():
            return list(map(os.fsdecode, self.files.lose(keys[self.table.find(keys) < 0])))

    def compact(self, dead_share=_DEAD_SHARE):
        """Removes vectors that no file needs, where they are more than a share of all, or damaged.

        Returns how many; the table is another one afterwards. Works within `writing` only.
        """
        _, rows = self.live()
        total = len(self.table.rows())
        if total - len(rows) <= dead_share * total and not self.table.damaged:
            return 0
        # A copy gets a new checksum: it would make a damaged vector a sound one.
        keys, rows = self.live(check=True)
        self.lose_damaged()
        vectors, old = self.vectors(rows), self.table.folder
        name = f"vectors-{int(self.settings['vectors'].split('-')[1]) + 1}"
        self.settings = {**self.settings, "vectors": name}
        self.table = self._open_table()
        with self.table.writing():
            for start in range(0, len(keys), _COPY_ROWS):
                span = slice(start, start + _COPY_ROWS)
                self.table.append(keys[span], vectors[span])
        _write_settings(self.folder, self.settings)
        shutil.rmtree(old, ignore_errors=True)
        return total - len(rows)

    def _open_table(self):
        folder = self.folder / self.settings["vectors"]
        return FeatureTable(folder, {"model": self.settings["model"]}, kept_in(self.settings))


@contextlib.contextmanager
def writing(folder, model=None, verify=False, dtype=None):
    """Opens an `Index` for changes, and makes it if it is not there.

    `model` is the `ExportedModel` that makes its vectors, or None where nothing is described; the
    index must exist then. With `verify`, the checksums of all vectors are compared; damaged ones
    are lost. `dtype`, one of `choices.KEPT_IN`, is what a new index keeps vectors in; None for
    float32, or as they are. `UserError` if another process writes to it, another model made it, it
    keeps vectors in another dtype, or the folder holds something else.
    """
    folder = Path(folder)
    if model is None:
        read_settings(folder)
    _check_folder(folder)
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_writer(folder / _LOCK))
        except OSError as error:
            raise UserError(f"--index: can't write {folder}: {error.strerror}") from error
        if model is not None:
            _set_model(folder, model, dtype)
        _remove_leftovers(folder)
        index = stack.enter_context(Index(folder, writable=True))
        if verify:
            index.table.verify()
        index.lost = index.lose_damaged()
        yield index


def read_settings(folder):
    """Reads `index.json`; `UserError` if it is missing, damaged or of another format.

    A dictionary: "format", "model" (fingerprint of the model), "model_folder" (where it was),
    "model_stamp" (of its files; absent in indexes of before), "dimension" and "vectors" (the
    subfolder they are in).
    """
    path = Path(folder) / INDEX_FILE
    if not path.is_file():
        advice = "make one with darac index"
        if path.with_name(PARTS_INDEX_FILE).exists():
            advice = "it is one of parts, for darac query only"
        raise UserError(f"--index: no index in {folder}: {advice}")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        good = all(type(settings[name]) is kind for name, kind in _KINDS.items())
        good &= kept_in(settings) in KEPT_IN
        good &= re.fullmatch(r"vectors-[0-9]{1,9}", settings["vectors"]) is not None
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good or settings["format"] != _FORMAT or settings["dimension"] < 1:
        advice = f"delete {folder}, and index again"
        raise UserError(f"--index: {path} is damaged or of another version: {advice}")
    return settings


def _write_settings(folder, settings):
    with atomic_path(folder / INDEX_FILE) as path:
        path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def kept_in(settings):
    """What vectors are kept in, of the settings of an index: one of `choices.KEPT_IN`."""
    return settings.get("dtype", "float32")


def _set_model(folder, model, dtype):
    """Makes the settings of a new index; notes where the model of an old one is now."""
    settings = {"format": _FORMAT, "model": model.fingerprint, "dimension": model.dimension}
    settings["vectors"] = "vectors-1"
    if dtype not in (None, "float32"):
        settings["dtype"] = dtype
    if (folder / INDEX_FILE).exists():
        settings = read_settings(folder)
        check_model(folder, settings, model)
        if dtype not in (None, kept_in(settings)):
            raise UserError(
                f"--vectors={dtype}: {folder} keeps them in {kept_in(settings)}; name another "
                "folder for a new index"
            )
    moved = {**settings, "model_folder": str(model.folder), "model_stamp": model.stamp}
    if moved != settings:
        _write_settings(folder, moved)


def check_model(folder, settings, model):
    """Refuses an `ExportedModel` that did not make the vectors, with a `UserError`."""
    if settings["model"] != model.fingerprint:
        raise UserError(
            f"--index: {folder} was made with another model ({settings['model_folder']}) than "
            f"{model.folder}: use that one, or name another folder for a new index"
        )


def _check_folder(folder):
    """An index is not made among other files, such as the photographs themselves."""
    if not folder.is_dir() or (folder / INDEX_FILE).exists():
        return
    names = (path.name for path in folder.iterdir())
    others = [name for name in names if name != _LOCK and not _LEFTOVER.fullmatch(name)]
    if others:
        found = f"{folder} holds other files, such as {min(others)!r}"
        raise UserError(f"--index: {found}: name a new folder")


def _remove_leftovers(folder):
    current = read_settings(folder)["vectors"]
    for path in folder.iterdir():
        if path.name != current and _LEFTOVER.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
