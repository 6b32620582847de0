"""Rows of floats on disk that are found by a key and only ever added to.

A table is a folder of three files: `rows.f32` (`rows.f16`) with the rows one after another,
`keys.bin` with a record of 32 bytes for each (the key, and a checksum of key and row), and
`meta.json`, which says what the rows are. A record is written after its row, so that a program that
is killed leaves at most rows without a record at the end, which the next writer cuts off. The files
are given to the disk once a second; what a machine that stops loses of that second fails its
checksum, as any later damage does, and counts as not written.

Opening reads the keys, and compares the checksums of the last rows only, so that it takes no longer
for many rows. Whoever wants rows has them checked first (`check`, `verify`). Any number of
processes may read while one writes; a second writer is refused at once.
"""

import contextlib
import json
import logging
import os
import time
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import append_bytes, atomic_path, only_writer, write_errors
from darac_tf.memory import release

_KEY_WORDS, _RECORD_WORDS = 3, 4
_RECORD_BYTES = 8 * _RECORD_WORDS
_CHECKED_AT_ONCE = 256
_SYNC_SECONDS = 1.0
# 2: a checksum that NumPy computes over many rows at once.
_FORMAT = 2

_LOG = logging.getLogger(__name__)


class FeatureTable:
    """One table; opening does not change it.

    Args:
        folder: The table's folder, which need not exist yet. What an older version of this project
            wrote there counts as nothing, and goes when something is written.
        meta: Dictionary of strings and integers that the table must have been written with.
        dtype: What rows are kept in: float32, or float16 at half the disk.

    Raises:
        UserError: If `meta.json` is missing, damaged or of another table.
    """

    def __init__(self, folder, meta, dtype="float32"):
        self.folder = Path(folder)
        self._dtype = np.dtype(dtype)
        self._file = f"rows.f{8 * self._dtype.itemsize}"
        self._expected = {"format": _FORMAT, **meta}
        if self._dtype != np.float32:
            self._expected["dtype"] = str(self._dtype)
        self.dim = None
        self._records = np.empty((0, _RECORD_WORDS), np.uint64)
        self._is_sound = np.empty(0, bool)
        self._sorted = self._map = None
        self._files = ()
        self._synced = 0.0
        self._appended = []
        self._load()

    def __len__(self):
        """Number of rows that are not known to be damaged."""
        return int(np.count_nonzero(self._is_sound))

    @property
    def damaged(self):
        """Number of rows that were checked and are damaged."""
        return len(self._is_sound) - len(self)

    def find(self, keys):
        """The rows of some keys, uint8 `(n, 24)`: int64 `(n,)`.

        -1 where the table has no such key, or its row is known to be damaged.
        """
        wanted = _words(keys)
        numbers = _mixed(wanted)
        if self._sorted is None:
            own = _mixed(self._records[:, :_KEY_WORDS])
            order = np.argsort(own, kind="stable")
            self._sorted = own[order], order
        own, order = self._sorted
        rows = np.full(len(wanted), -1, np.int64)
        place = np.searchsorted(own, numbers, side="right") - 1
        todo = np.flatnonzero(place >= 0)
        # A damaged row that was made again has two rows of one key: the later one is met first.
        while len(todo):
            is_near = own[place[todo]] == numbers[todo]
            row = order[place[todo]]
            is_it = is_near & self._is_sound[row]
            is_it &= (self._records[row, :_KEY_WORDS] == wanted[todo]).all(axis=1)
            rows[todo[is_it]] = row[is_it]
            place[todo] -= 1
            todo = todo[is_near & ~is_it & (place[todo] >= 0)]
        return rows

    def check(self, places):
        """Reads rows and compares their checksums; a damaged one is not found from now on.

        `places`, int `(n,)`, is what `find` gave. Returns how many rows turned out to be damaged.
        """
        before, rows = self.damaged, self.rows()
        places = np.unique(places[places >= 0])
        for start in range(0, len(places), _CHECKED_AT_ONCE):
            some = places[start : start + _CHECKED_AT_ONCE]
            records = self._records[some]
            expected = _checksums(records[:, :_KEY_WORDS], rows[some])
            self._is_sound[some] = records[:, _KEY_WORDS] == expected
            release(rows, some[0], some[-1] + 1)
        damaged = self.damaged - before
        if damaged:
            _LOG.warning("%s: %d damaged rows are made anew", self.folder, damaged)
        return damaged

    def verify(self):
        """Checks all rows, see `check`; returns how many are damaged."""
        self.check(np.arange(len(self._records)))
        return self.damaged

    def rows(self):
        """The rows as a read-only memory map `(rows on disk, dim)`.

        It stays readable when the file is removed.
        """
        count = len(self._records)
        if not count:
            return np.empty((0, self.dim or 0), self._dtype)
        if self._map is None or len(self._map) != count:
            shape = count, self.dim
            self._map = np.memmap(self._path(self._file), self._dtype, "r", shape=shape)
        return self._map

    def keys(self):
        """The keys of all rows on disk, uint8 `(rows on disk, 24)`."""
        return np.ascontiguousarray(self._records[:, :_KEY_WORDS]).view(np.uint8)

    def unread(self):
        """How many rows were written since this table was opened; 0 where it is gone."""
        with contextlib.suppress(OSError):
            on_disk = self._path("keys.bin").stat().st_size // _RECORD_BYTES
            return max(on_disk - len(self._records), 0)
        return 0

    @contextlib.contextmanager
    def writing(self):
        """Lets the block `append`; cuts off first what an interrupted writer left unfinished.

        `UserError` if another process writes to the table, or it can't be written.
        """
        with contextlib.ExitStack() as stack:
            with write_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(only_writer(self._path("lock")))
                self._load()
                self._cut()
                self._files = [
                    stack.enter_context(self._path(name).open("ab", buffering=0))
                    for name in (self._file, "keys.bin")
                ]
                self._synced = time.monotonic()
            try:
                yield
                self._sync()
            finally:
                self._files = ()
                self._know(self._appended)
                self._appended = []

    def append(self, keys, rows):
        """Adds rows; when it returns, they survive the end of the program, however it ends.

        Args:
            keys: uint8 `(n, 24)`, none of which the table had when `writing` began.
            rows: Finite floats `(n, dim)`; the first call decides on `dim`.
        """
        if not self._files:
            raise ValueError(
                "`append` works in `writing()`. Received: a call outside of it, or after a failure"
            )
        keys, rows = _words(keys), np.ascontiguousarray(rows, self._dtype)
        if self.dim is None:
            self.dim = rows.shape[1]
            text = json.dumps({**self._expected, "dim": self.dim}, indent=1) + "\n"
            with atomic_path(self._path("meta.json")) as path:
                path.write_text(text, encoding="utf-8")
        if rows.shape != (len(keys), self.dim):
            wanted = len(keys), self.dim
            raise ValueError(f"`rows` must be of shape {wanted}. Received: {rows.shape}")
        records = np.column_stack([keys, _checksums(keys, rows)])
        # Where a write fails, the rest must not follow half a row.
        files, self._files = self._files, ()
        with write_errors(self.folder):
            for file, array in zip(files, (rows, records), strict=True):
                append_bytes(file, array.tobytes())
        self._files = files
        self._appended.append(records)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def _sync(self):
        with write_errors(self.folder):
            for file in self._files:
                os.fdatasync(file.fileno())
        self._synced = time.monotonic()

    def _path(self, name):
        return self.folder / name

    def _load(self):
        """Reads the records that are not known yet."""
        if self.dim is None:
            self.dim = self._read_dim()
        keys, rows = self._path("keys.bin"), self._path(self._file)
        if self.dim is None or not keys.exists() or not rows.exists():
            return
        known = len(self._records)
        width = self._dtype.itemsize * self.dim
        complete = min(keys.stat().st_size // _RECORD_BYTES, rows.stat().st_size // width)
        words = max(complete - known, 0) * _RECORD_WORDS
        records = np.fromfile(keys, np.uint64, words, offset=known * _RECORD_BYTES)
        self._know([records.reshape(-1, _RECORD_WORDS)])
        self._drop_lost(known)

    def _drop_lost(self, first):
        """Drops damaged rows at the end, where a machine that stops loses them, down to `first`."""
        stop = start = len(self._records)
        while stop == start > first:
            start = max(stop - _CHECKED_AT_ONCE, first)
            self.check(np.arange(start, stop))
            sound = np.flatnonzero(self._is_sound[start:stop])
            stop = start + int(np.max(sound, initial=-1)) + 1
        self._records, self._is_sound = self._records[:stop], self._is_sound[:stop]

    def _know(self, records):
        """Takes in further records, a list of arrays."""
        self._records = np.concatenate([self._records, *records])
        new = len(self._records) - len(self._is_sound)
        self._is_sound = np.pad(self._is_sound, (0, new), constant_values=True)
        self._sorted = None

    def _read_dim(self):
        path, keys = self._path("meta.json"), self._path("keys.bin")
        remedy = f"delete {self.folder}, and it is made anew"
        if not path.exists():
            if keys.exists() and keys.stat().st_size:
                raise UserError(f"{path} is missing: {remedy}")
            return None
        try:
            meta = json.loads(path.read_text(encoding="utf-8"))
            dim, version = int(meta["dim"]), int(meta["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged: {remedy}") from error
        if version < _FORMAT:
            _LOG.warning("%s is of an older version, and is made anew", self.folder)
            return None
        for name, value in self._expected.items():
            if meta.get(name) != value:
                raise UserError(f"{path}: {name} is {meta.get(name)!r} and not {value!r}; {remedy}")
        return dim

    def _cut(self):
        row_bytes = (self.dim or 0) * self._dtype.itemsize
        for name, width in ((self._file, row_bytes), ("keys.bin", _RECORD_BYTES)):
            path, size = self._path(name), len(self._records) * width
            if path.exists() and path.stat().st_size > size:
                os.truncate(path, size)


def _words(keys):
    """Keys, uint8 `(n, 24)`, as uint64 `(n, 3)`."""
    return np.ascontiguousarray(keys, np.uint8).view(np.uint64)


def _mixed(words):
    """One number for each row of uint64 `(n, k)`: the sum of its words, each times an odd number.

    A change of a single word always changes it, of several all but never: multilinear hashing
    (Lemire, Kaser, 2014, arXiv 1202.4961), with the factors of splitmix64 (Steele et al., 2014).
    """
    factors = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        factors = (factors ^ (factors >> np.uint64(shift))) * np.uint64(factor)
    return words @ (factors ^ (factors >> np.uint64(31)) | np.uint64(1))


def _checksums(keys, rows):
    """Of keys, uint64 `(n, 3)`, and their rows `(n, dim)`: uint64 `(n,)`."""
    if spare := -rows.shape[1] % (8 // rows.itemsize):
        rows = np.pad(rows, [(0, 0), (0, spare)])
    words = np.ascontiguousarray(rows).view(np.uint64)
    # Zeros, as where a disk has lost what was written, must not have a checksum of 0.
    ones = np.ones((len(keys), 1), np.uint64)
    return _mixed(np.concatenate([ones, keys, words], axis=1))
