"""Which image files an index knows, in an SQLite file: path, size, time, content, fault.

A path is kept as the bytes that the system gives, since names need not be text. The size and the
time of a file say whether it has changed; the key of its content finds its vector. A file without a
key could not be described, and `fault` says why.
"""

import contextlib
import os
import sqlite3
from collections import Counter

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
CREATE TEMP TABLE listed (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID;
"""
# Listed files that are new or may have changed.
_OUTDATED = (
    "FROM listed LEFT JOIN files USING (path) WHERE "
    "(files.size IS NOT listed.size OR files.mtime_ns IS NOT listed.mtime_ns)"
)
_BELOW = "path > ? AND path < ?"


class FileTable:
    """The table; its methods raise `UserError` where the file is damaged or can't be written.

    Folders are bytes. Methods that change something work within `transaction`.

    Args:
        path: The SQLite file.
        writable: Whether to make it and change it; otherwise it must be there. A reader too has to
            undo what a killed writer left half done, where it may write.

    Several threads may use one table.
    """

    def __init__(self, path, writable=False):
        self._path = path
        # The first writer may have been killed before it made the file, or the table in it.
        empty = UserError(f"{path.parent} holds no image yet: index again")
        if not writable and not path.exists():
            raise empty
        uri = f"{path.absolute().as_uri()}?mode={'rwc' if writable else 'rw'}"
        with self._errors():
            how = {"timeout": _LOCK_SECONDS, "uri": True, "check_same_thread": False}
            self._db = sqlite3.connect(uri, **how)
            if writable:
                # The list of a run goes to a file: memory does not grow with the collection.
                self._db.execute("PRAGMA temp_store = FILE")
                self._db.executescript(_SCHEMA)
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'files'"):
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

    def count(self, folder=b"/"):
        """Number of files below a folder."""
        return self._rows(f"SELECT COUNT(*) FROM files WHERE {_BELOW}", _below(folder))[0][0]

    def faults(self, folder=b"/"):
        """`(path bytes, what is wrong)` of the files below a folder that are not described."""
        where = f"key ISNULL AND {_BELOW} ORDER BY path"
        return self._rows(f"SELECT path, fault FROM files WHERE {where}", _below(folder))

    def has_key(self, key):
        """Whether a file of this content is known."""
        return bool(self._rows("SELECT 1 FROM files WHERE key = ? LIMIT 1", (key,)))

    def keys(self, folder=b"/"):
        """Keys of all files below a folder without repetition, uint8 `(n, 24)`."""
        statement = f"SELECT DISTINCT key FROM files WHERE key NOTNULL AND {_BELOW}"
        with self._errors():
            found = self._db.execute(statement, _below(folder))
            keys = np.fromiter((key for (key,) in found), f"S{VIEW_KEY_BYTES}")
        return keys.view(np.uint8).reshape(-1, VIEW_KEY_BYTES)

    def paths(self, key):
        """The files of one content, as sorted bytes."""
        found = self._rows("SELECT path FROM files WHERE key = ? ORDER BY path", (key,))
        return [path for (path,) in found]

    def folders(self):
        """The folders that hold files with a key, and how many, as a `Counter` of bytes."""
        with self._errors():
            found = self._db.execute("SELECT path FROM files WHERE key NOTNULL")
            return Counter(os.path.dirname(path) for (path,) in found)  # noqa: PTH120 - bytes

    def version(self):
        """A number that changes with the next look after another process has written."""
        return self._rows("PRAGMA data_version")[0][0]

    def shared_keys(self):
        """Keys of contents that several files have, as a list of bytes."""
        having = "WHERE key NOTNULL GROUP BY key HAVING COUNT(*) > 1"
        return [key for (key,) in self._rows(f"SELECT key FROM files {having}")]

    def put(self, path, size, mtime_ns, key, fault=None):
        """Adds or replaces a file (no key: not described); tells if it was known with another."""
        known = self._rows("SELECT key FROM files WHERE path = ?", (path,))
        entry = (path, size, mtime_ns, key, fault)
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", entry)
        return bool(known) and known[0][0] != key

    def lose(self, keys):
        """Has the files of keys whose vectors are gone read again; returns their paths, bytes."""
        keys = [key.tobytes() for key in keys]
        paths = [path for key in keys for path in self.paths(key)]
        change = f"UPDATE files SET size = {UNKNOWN}, key = NULL, fault = ? WHERE key = ?"
        self._db.executemany(change, (("its vector is lost; index again", key) for key in keys))
        return paths

    def remove(self, folder):
        """Drops all files below a folder; returns how many."""
        return self._db.execute(f"DELETE FROM files WHERE {_BELOW}", _below(folder)).rowcount

    def list_files(self, files):
        """Takes `(path, size, mtime_ns)` of files that are there in this run."""
        self._db.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", files)

    def list_known(self, folder):
        """Takes the files that are known below a folder, which can't be listed, as listed ones."""
        known = f"SELECT path, size, mtime_ns FROM files WHERE {_BELOW}"
        self._db.execute(f"INSERT OR IGNORE INTO listed {known}", _below(folder))

    def remove_unlisted(self, folder):
        """Drops files below a folder that are not listed; returns how many."""
        where = f"{_BELOW} AND path NOT IN (SELECT path FROM listed)"
        return self._db.execute(f"DELETE FROM files WHERE {where}", _below(folder)).rowcount

    def count_outdated(self):
        """How many listed files are new, and how many may have changed."""
        ((total, known),) = self._rows(f"SELECT COUNT(*), COUNT(files.path) {_OUTDATED}")
        return total - known, known

    def outdated(self):
        """Yields the paths of those files in order; what was yielded may be `put` meanwhile."""
        last = b""
        statement = f"SELECT path {_OUTDATED} AND path > ? ORDER BY path LIMIT {_AT_ONCE}"
        while some := self._rows(statement, (last,)):
            yield from (path for (path,) in some)
            ((last,),) = some[-1:]

    def _rows(self, statement, values=()):
        with self._errors():
            return self._db.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _errors(self):
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UserError(f"can't use {self._path}: {error}; index again") from error
        except sqlite3.DatabaseError as error:
            advice = "delete it, and the next run lists all files anew"
            raise UserError(f"{self._path} is damaged ({error}): {advice}") from error


def _below(folder):
    """The values of `_BELOW`."""
    stem = folder.rstrip(b"/")
    # "0" is the byte after "/".
    return stem + b"/", stem + b"0"
