"""The folder of an index, its lock, and which of its vectors are in use.

`index.json` says which model made the vectors and in which subfolder they are, a
`describing.feature_table.FeatureTable`: found by content, only ever added to, each with a checksum,
which is compared on demand, and before vectors are copied. `files.sqlite` is the `FileTable`. A
vector is written before the file that needs it is entered, so whatever moment a program ends at,
each file that is entered has its vector.

Vectors that no file needs any more stay until they are a fourth of all. Then the others are copied
to a new subfolder, and `index.json` is replaced, which is the moment of change.
"""

import contextlib
import re
import shutil
from pathlib import Path

import numpy as np

from darac_tf.describing.feature_cache import CachedRows
from darac_tf.describing.feature_table import FeatureTable
from darac_tf.errors import UserError
from darac_tf.files import only_writer
from darac_tf.search.file_table import FileTable
from darac_tf.search.settings import (
    SETTINGS,
    check_model,
    new_settings,
    read_settings,
    write_settings,
)

FILES, LOCK = "files.sqlite", "lock"
_DEAD_SHARE = 0.25
_COPY_ROWS = 1024
# What an interrupted `atomic_path` or compaction leaves.
_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\..+|vectors-[0-9]+")


class IndexFolder:
    """An index that is open; `with` closes it.

    Args:
        folder: The folder.
        writable: Used by `writing`.

    Attributes:
        settings: See `settings.read_settings`.
        table: `FeatureTable` of the vectors.
        files: `FileTable`.

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
        self.files = FileTable(self.folder / FILES, writable)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.files.close()

    @property
    def dimension(self):
        return self.settings["dimension"]

    def live(self):
        """The vectors that files need, in the order in which they lie on disk.

        Returns:
            Tuple of keys, uint8 `(n, 24)`, and their rows in `table.rows()`, int64 `(n,)`.
        """
        keys = self.files.keys()
        rows = self.table.find(keys)
        order = np.argsort(rows, kind="stable")
        # Keys that a writer entered after the table was opened, or lost, are at the front.
        order = order[np.count_nonzero(rows < 0) :]
        return keys[order], rows[order]

    def vectors(self, rows):
        """Some rows as what reads like a float32 array `(n, dimension)`, from disk."""
        on_disk = self.table.rows()
        if not on_disk.shape[1]:
            on_disk = np.empty((0, self.dimension), np.float32)
        if np.array_equal(rows, np.arange(len(on_disk))):
            return on_disk
        return CachedRows(on_disk, np.asarray(rows, np.int64))

    def compact(self, dead_share=_DEAD_SHARE):
        """Removes vectors that no file needs, where they are more than a share of all, or damaged.

        The table is another one afterwards. Works within `writing` only.

        Returns:
            How many were removed.
        """
        keys, rows = self.live()
        total = len(self.table.rows())
        # Readers, which compare no checksums, must not find a damaged vector.
        if total - len(rows) <= dead_share * total and not self.table.damaged:
            return 0
        if self.table.check(rows):
            self.read_lost_again()
            keys, rows = self.live()
        name = f"vectors-{int(self.settings['vectors'].split('-')[1]) + 1}"
        vectors, old = self.vectors(rows), self.table.folder
        self.table = FeatureTable(self.folder / name, self.table_meta)
        with self.table.writing():
            for start in range(0, len(keys), _COPY_ROWS):
                span = slice(start, start + _COPY_ROWS)
                self.table.append(keys[span], vectors[span])
        self.settings = {**self.settings, "vectors": name}
        write_settings(self.folder, self.settings)
        shutil.rmtree(old, ignore_errors=True)
        return total - len(rows)

    def read_lost_again(self):
        """Has files read again whose vectors are lost: a disk was damaged, a machine stopped."""
        keys = self.files.keys()
        with self.files.transaction():
            self.files.lose(keys[self.table.find(keys) < 0])

    @property
    def table_meta(self):
        return {"model": self.settings["model"]}

    def _open_table(self):
        folder = self.folder / self.settings["vectors"]
        return FeatureTable(folder, self.table_meta)


@contextlib.contextmanager
def writing(folder, describer=None, verify=False):
    """Opens an index for changes, and makes it if it is not there.

    Args:
        folder: The index's folder.
        describer: `ExportedDescriber` that makes its vectors, or None where nothing is described;
            the index must exist then.
        verify: Whether to compare the checksums of all vectors; damaged ones are lost.

    Yields:
        `IndexFolder`.

    Raises:
        UserError: If another process writes to it, another model made it, or the folder holds
            something else.
    """
    folder = Path(folder)
    if describer is None:
        read_settings(folder)
    _check_folder(folder)
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_writer(folder / LOCK))
        except OSError as error:
            raise UserError(f"--index: can't write {folder}: {error.strerror}") from error
        if describer is not None:
            _set_model(folder, describer)
        _remove_leftovers(folder)
        index = stack.enter_context(IndexFolder(folder, writable=True))
        if verify:
            index.table.verify()
        index.read_lost_again()
        yield index


def _check_folder(folder):
    """An index is not made among other files, such as the photographs themselves."""
    if not folder.is_dir() or (folder / SETTINGS).exists():
        return
    names = (path.name for path in folder.iterdir())
    others = [name for name in names if name != LOCK and not _LEFTOVER.fullmatch(name)]
    if others:
        raise UserError(
            f"--index: {folder} holds other files, such as {min(others)!r}: name a new folder"
        )


def _set_model(folder, describer):
    if not (folder / SETTINGS).exists():
        write_settings(folder, new_settings(describer))
        return
    settings = read_settings(folder)
    check_model(folder, settings, describer)
    moved = {**settings, "model_folder": str(describer.folder)}
    if moved != settings:
        write_settings(folder, moved)


def _remove_leftovers(folder):
    current = read_settings(folder)["vectors"]
    for path in folder.iterdir():
        if path.name != current and _LEFTOVER.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
