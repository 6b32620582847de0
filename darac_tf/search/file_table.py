"""Which image files an index knows, in an SQLite file: path, size, time, content, fault.

A path is kept as the bytes that the system gives, since names need not be text. The size and the
time of a file say whether it has changed; the key, a hash of its content, finds its vector. A file
without a key could not be described, and `fault` says why.
"""

import contextlib
import os
import sqlite3

import numpy as np

from darac_tf.data.content_keys import VIEW_KEY_BYTES
from darac_tf.errors import UserError

# A size or time that no file has: the file is read again in the next run.
UNKNOWN = -1
_LOCK_SECONDS = 60
_AT_ONCE = 4096
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, key BLOB, fault TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_key ON files (key);
"""
_WORK = """
CREATE TEMP TABLE found (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE work (id INTEGER PRIMARY KEY, path BLOB);
"""


class FileTable:
    """The table; its methods raise `UserError` where the file is damaged or can't be written.

    Args:
        path: The SQLite file.
        writable: Whether to make it and change it; otherwise it must be there. A reader too has to
            undo what a killed writer left half done, where it may write.
    """

    def __init__(self, path, writable=False):
        self._path = path
        # The first writer may have been killed before it made the file, or the table in it.
        empty = UserError(f"{path.parent} holds no image yet: index again")
        if not writable and not path.exists():
            raise empty
        mode = "rwc" if writable else "rw"
        with self._errors():
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_LOCK_SECONDS
            )
            if writable:
                # Lists of a run go to a file: memory does not grow with the collection.
                self._db.execute("PRAGMA temp_store = FILE")
                self._db.executescript(_SCHEMA + _WORK)
        if not self._one("SELECT COUNT(*) FROM sqlite_master WHERE name = 'files'"):
            self.close()
            raise empty

    def close(self):
        """Closes the file."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self):
        """All changes of the block become part of the file, or none."""
        with self._errors(), self._db:
            yield

    def put(self, path, size, mtime_ns, key, fault=None):
        """Adds or replaces a file; `key` is None where it could not be described.

        Returns:
            Whether it was known, with another key.
        """
        known = self._db.execute("SELECT key FROM files WHERE path = ?", (path,)).fetchone()
        self._db.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            (path, size, mtime_ns, key, fault),
        )
        return known is not None and known[0] != key

    def has_key(self, key):
        """Whether a file of this content is known."""
        return self._one("SELECT EXISTS (SELECT 1 FROM files WHERE key = ?)", (key,)) == 1

    def count(self, folder=None):
        """Number of files, of those below a folder (bytes) where one is given."""
        where, values = _below(folder)
        return self._one(f"SELECT COUNT(*) FROM files WHERE {where}", values)

    def keys(self):
        """Keys of all files without repetition, uint8 `(n, 24)`."""
        with self._errors():
            cursor = self._db.execute("SELECT DISTINCT key FROM files WHERE key NOTNULL")
            blocks = [np.empty((0, VIEW_KEY_BYTES), np.uint8)]
            while some := cursor.fetchmany(_AT_ONCE):
                data = b"".join(key for (key,) in some)
                blocks.append(np.frombuffer(data, np.uint8).reshape(-1, VIEW_KEY_BYTES))
        return np.concatenate(blocks)

    def paths(self, key):
        """The files of one content, as sorted bytes."""
        with self._errors():
            found = self._db.execute("SELECT path FROM files WHERE key = ? ORDER BY path", (key,))
            return [path for (path,) in found]

    def shared_keys(self):
        """Keys of contents that several files have, as a list of bytes."""
        with self._errors():
            found = self._db.execute(
                "SELECT key FROM files WHERE key NOTNULL GROUP BY key HAVING COUNT(*) > 1"
            )
            return [key for (key,) in found]

    def faults(self, folder=None):
        """`(path bytes, what is wrong)` of files that are not described, of a folder or all."""
        where, values = _below(folder)
        with self._errors():
            return self._db.execute(
                f"SELECT path, fault FROM files WHERE key ISNULL AND {where} ORDER BY path", values
            ).fetchall()

    def lose(self, keys):
        """Has the files of some keys read again, because their vectors are gone."""
        change = "UPDATE files SET size = ?, key = NULL, fault = ? WHERE key = ?"
        lost = "its vector is lost; index again"
        self._db.executemany(change, ((UNKNOWN, lost, key.tobytes()) for key in keys))

    def remove_below(self, folder):
        """Drops all files below a folder (bytes); returns how many."""
        where, values = _below(folder)
        return self._db.execute(f"DELETE FROM files WHERE {where}", values).rowcount

    def note_found(self, files):
        """Takes `(path, size, mtime_ns)` of the files that are there in this run."""
        with self.transaction():
            self._db.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", files)

    def remove_missing(self, folder, unlisted):
        """Drops files below a folder that were not found, but for those below `unlisted` ones.

        Returns:
            How many.
        """
        with self.transaction():
            for kept in unlisted:
                where, values = _below(kept)
                self._db.execute(
                    "INSERT OR IGNORE INTO found SELECT path, size, mtime_ns FROM files "
                    f"WHERE {where}",
                    values,
                )
            where, values = _below(folder)
            return self._db.execute(
                f"DELETE FROM files WHERE {where} AND path NOT IN (SELECT path FROM found)", values
            ).rowcount

    def plan(self):
        """Lists the found files that are new or may have changed; returns both counts."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO work (path) SELECT found.path FROM found LEFT JOIN files USING (path) "
                "WHERE files.size IS NOT found.size OR files.mtime_ns IS NOT found.mtime_ns "
                "ORDER BY found.path"
            )
        total = self._one("SELECT COUNT(*) FROM work")
        known = self._one("SELECT COUNT(*) FROM work WHERE path IN (SELECT path FROM files)")
        return total - known, known

    def planned(self):
        """Yields the paths of the plan; changes may be made meanwhile."""
        last = 0
        while True:
            with self._errors():
                some = self._db.execute(
                    "SELECT id, path FROM work WHERE id > ? ORDER BY id LIMIT ?", (last, _AT_ONCE)
                ).fetchall()
            if not some:
                return
            yield from (path for _, path in some)
            last = some[-1][0]

    def _one(self, statement, values=()):
        with self._errors():
            return self._db.execute(statement, values).fetchone()[0]

    @contextlib.contextmanager
    def _errors(self):
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UserError(f"can't use {self._path}: {error}; index again") from error
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self._path} is damaged ({error}): delete it, and the next run lists all files "
                "anew"
            ) from error


def _below(folder):
    """A condition on `path`, and its values, for the files below a folder."""
    if folder is None:
        return "1", ()
    stem = os.fsencode(folder).rstrip(b"/")
    # "0" is the byte after "/".
    return "path > ? AND path < ?", (stem + b"/", stem + b"0")
