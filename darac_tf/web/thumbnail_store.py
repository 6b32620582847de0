"""Thumbnails that were made once, in an SQLite file beside the index, by the key of the content."""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from darac_tf.files import remove

_FILE = "thumbnails.sqlite"
_LOCK_SECONDS = 10
_LOG = logging.getLogger(__name__)


class ThumbnailStore:
    """The file, for several threads and processes.

    A damaged one is made anew. Where it can't be written, which is logged, thumbnails are kept in a
    file of the system's that goes with the program.

    Args:
        folder: The folder of the index.
    """

    def __init__(self, folder):
        self._path = Path(folder) / _FILE
        self._db = self._open()

    def get(self, key):
        """The bytes of a JPEG, or None; of a key, bytes."""
        with self._errors():
            found = self._db.execute("SELECT jpeg FROM thumbnails WHERE key = ?", (key,)).fetchone()
            return found and found[0]
        return None

    def put(self, key, data):
        """Keeps the bytes of a JPEG."""
        with self._errors(), self._db:
            self._db.execute("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", (key, data))

    def keep(self, keys):
        """Removes all but those of some keys, uint8 `(n, 24)`."""
        wanted = {key.tobytes() for key in keys}
        with self._errors(), self._db:
            known = self._db.execute("SELECT key FROM thumbnails").fetchall()
            gone = [row for row in known if row[0] not in wanted]
            self._db.executemany("DELETE FROM thumbnails WHERE key = ?", gone)

    def _open(self):
        try:
            if not os.access(self._path.parent, os.W_OK):
                raise sqlite3.OperationalError("the folder is read-only")
            return _connect(self._path)
        except sqlite3.OperationalError as error:
            _LOG.warning("thumbnails can't be kept in %s (%s)", self._path, error)
            return _connect("")
        except sqlite3.DatabaseError:
            return self._anew()

    def _anew(self):
        _LOG.warning("%s is damaged, and is made anew", self._path)
        for end in ("", "-wal", "-shm"):
            remove(self._path.with_name(_FILE + end))
        return _connect(self._path)

    @contextlib.contextmanager
    def _errors(self):
        """What can't be read or written is made again: on a full disk the page goes on."""
        try:
            yield
        except sqlite3.OperationalError as error:
            _LOG.warning("%s: %s", self._path, error)
        except sqlite3.DatabaseError:
            self._db = self._anew()


def _connect(path):
    database = sqlite3.connect(path, timeout=_LOCK_SECONDS, check_same_thread=False)
    # Thumbnails that a loss of power takes are made again.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    create = "CREATE TABLE IF NOT EXISTS thumbnails (key BLOB PRIMARY KEY, jpeg BLOB NOT NULL)"
    database.execute(create)
    return database
