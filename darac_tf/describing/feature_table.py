"""Rows of float32 on disk that are found by a key and only ever added to.

A table is a folder of three files. `rows.f32` holds the rows one after another. `keys.bin` holds a
record of 32 bytes for each: the key, and a checksum of key and row. `meta.json` says what the rows
are. A record is written after its row, so that a program that is killed leaves at most rows without
a record at the end, which the next writer cuts off. The files are given to the disk once a second;
what a machine that stops loses of that second fails its checksum, as any later damage does, and
counts as not written.

Any number of processes may read while one writes. A second writer is refused at once.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import append_bytes, atomic_path, only_writer, write_errors

KEY_BYTES = 24
_CHECK_BYTES = 8
_RECORD_BYTES = KEY_BYTES + _CHECK_BYTES
_BLOCK_ROWS = 1024
_SYNC_SECONDS = 1.0
_FORMAT = 1

_LOG = logging.getLogger(__name__)


class FeatureTable:
    """One table; opening reads and checks it, without changing it.

    Args:
        folder: The table's folder, which need not exist yet.
        meta: Dictionary of strings and integers that the table must have been written with.
        notes: Dictionary for `meta.json` that need not be the same.
        check: Whether to compare the checksums of rows, which reads all of them.

    Attributes:
        damaged: Number of rows that fail their checksum although sound ones follow.

    Raises:
        UserError: If `meta.json` is missing, damaged or of another table.
    """

    def __init__(self, folder, meta, notes=None, check=True):
        self.folder = Path(folder)
        self._check = check
        self._expected = {"format": _FORMAT, **meta}
        self._notes = dict(notes or {})
        self.dim = None
        self.damaged = 0
        self._count = 0
        self._keys = np.empty(0, f"S{KEY_BYTES}")
        self._places = np.empty(0, np.int64)
        self._order = np.empty(0, np.int64)
        self._files = ()
        self._synced = 0.0
        self._appended = []
        self._load()

    def __len__(self):
        return len(self._keys)

    def find(self, keys):
        """The rows of some keys.

        Args:
            keys: uint8 `(n, 24)`.

        Returns:
            int64 `(n,)`, -1 where the table has no such key.
        """
        wanted = _as_strings(keys)
        if not len(self):
            return np.full(len(wanted), -1, np.int64)
        if len(self._order) != len(self):
            self._order = np.argsort(self._keys, kind="stable")
        place = np.searchsorted(self._keys, wanted, sorter=self._order)
        found = self._order[np.minimum(place, len(self) - 1)]
        return np.where(self._keys[found] == wanted, self._places[found], -1)

    def rows(self):
        """The rows as a read-only memory map, float32 `(rows on disk, dim)`."""
        if not self._count:
            return np.empty((0, self.dim or 0), np.float32)
        return np.memmap(self._path("rows.f32"), np.float32, "r", shape=(self._count, self.dim))

    @contextlib.contextmanager
    def writing(self):
        """Lets the block `append`; cuts off first what an interrupted writer left unfinished.

        Raises:
            UserError: If another process writes to the table, or it can't be written.
        """
        with contextlib.ExitStack() as stack:
            with write_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(only_writer(self._path("lock")))
                self._load()
                self._cut()
                self._files = [
                    stack.enter_context(self._path(name).open("ab", buffering=0))
                    for name in ("rows.f32", "keys.bin")
                ]
                self._synced = time.monotonic()
            try:
                yield
                self._sync()
            finally:
                self._files = ()
                new = np.concatenate([np.empty((0, KEY_BYTES), np.uint8), *self._appended])
                self._know(new, np.ones(len(new), bool))
                self._appended = []

    def append(self, keys, rows):
        """Adds rows; when it returns, they survive the end of the program, however it ends.

        Args:
            keys: uint8 `(n, 24)`. Keys that the table has when `writing` begins are left out by
                the caller.
            rows: Finite float32 `(n, dim)`; the first call decides on `dim`.

        Raises:
            ValueError: Outside of `writing`, or if `dim` is another than before.
        """
        if not self._files:
            raise ValueError(
                "`append` works within `writing()`. "
                "Received: a call outside of it, or after a failure"
            )
        keys = np.ascontiguousarray(keys, np.uint8)
        rows = np.ascontiguousarray(rows, np.float32)
        if self.dim is None:
            self._write_meta(rows.shape[1])
        if rows.shape != (len(keys), self.dim):
            raise ValueError(
                f"`rows` must be of shape ({len(keys)}, {self.dim}). Received: {rows.shape}"
            )
        records = [key.tobytes() + _check(key, row) for key, row in zip(keys, rows, strict=True)]
        # Where a write fails, the rest must not follow half a row.
        files, self._files = self._files, ()
        with write_errors(self.folder):
            for file, data in zip(files, (rows.tobytes(), b"".join(records)), strict=True):
                append_bytes(file, data)
        self._files = files
        self._appended.append(keys)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def _sync(self):
        with write_errors(self.folder):
            for file in self._files:
                os.fdatasync(file.fileno())
        self._synced = time.monotonic()

    def _path(self, name):
        return self.folder / name

    def _write_meta(self, dim):
        self.dim = dim
        meta = {**self._expected, "dim": dim, "notes": self._notes}
        with atomic_path(self._path("meta.json")) as path:
            path.write_text(json.dumps(meta, indent=1) + "\n")

    def _load(self):
        """Reads and checks the records that are not known yet."""
        keys_path = self._path("keys.bin")
        if self.dim is None:
            self.dim = self._read_dim()
        if self.dim is None or not keys_path.exists():
            return
        with keys_path.open("rb") as file:
            file.seek(self._count * _RECORD_BYTES)
            data = np.frombuffer(file.read(), np.uint8)
        records = data[: len(data) // _RECORD_BYTES * _RECORD_BYTES].reshape(-1, _RECORD_BYTES)
        good = self._sound(records)
        used = int(np.flatnonzero(good)[-1]) + 1 if good.any() else 0
        if not good[:used].all():
            self.damaged += int((~good[:used]).sum())
            _LOG.warning("%s: %d damaged rows are made anew", self.folder, self.damaged)
        self._know(records[:used, :KEY_BYTES], good[:used])

    def _know(self, keys, good):
        """Takes in the keys of further rows; those that are not good are never found."""
        new = _as_strings(keys)[good]
        self._keys = np.concatenate([self._keys, new])
        self._places = np.concatenate([self._places, self._count + np.flatnonzero(good)])
        self._count += len(keys)

    def _read_dim(self):
        path = self._path("meta.json")
        if not path.exists():
            if self._path("keys.bin").exists() and self._path("keys.bin").stat().st_size:
                raise UserError(f"{path} is missing: delete {self.folder}, and it is made anew")
            return None
        try:
            meta = json.loads(path.read_text())
            dim = int(meta["dim"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged: delete {self.folder}, and it is made anew"
            ) from error
        for name, value in self._expected.items():
            if meta.get(name) != value:
                raise UserError(
                    f"{path}: {name} is {meta.get(name)!r} and not {value!r}; delete "
                    f"{self.folder}, and it is made anew"
                )
        return dim

    def _sound(self, records):
        """Which records, from the first unknown one on, have their row: bool `(records,)`."""
        good = np.zeros(len(records), bool)
        path = self._path("rows.f32")
        if not len(records) or not path.exists():
            return good
        if not self._check:
            complete = path.stat().st_size // (4 * self.dim) - self._count
            return np.arange(len(records)) < complete
        with path.open("rb") as file:
            file.seek(self._count * self.dim * 4)
            for start in range(0, len(records), _BLOCK_ROWS):
                block = np.fromfile(file, np.float32, _BLOCK_ROWS * self.dim)
                rows = block[: len(block) // self.dim * self.dim].reshape(-1, self.dim)
                pairs = zip(records[start : start + _BLOCK_ROWS], rows, strict=False)
                for index, (record, row) in enumerate(pairs, start):
                    key, check = record[:KEY_BYTES], record[KEY_BYTES:].tobytes()
                    good[index] = check == _check(key, row)
        return good

    def _cut(self):
        widths = {"rows.f32": (self.dim or 0) * 4, "keys.bin": _RECORD_BYTES}
        for name, width in widths.items():
            path = self._path(name)
            if path.exists() and path.stat().st_size > self._count * width:
                os.truncate(path, self._count * width)


def _as_strings(keys):
    """Keys as one array element each, which NumPy can sort and compare."""
    return np.ascontiguousarray(keys, np.uint8).view(f"S{KEY_BYTES}").ravel()


def _check(key, row):
    digest = hashlib.blake2b(key.tobytes(), digest_size=_CHECK_BYTES)
    digest.update(row.tobytes())
    return digest.digest()
