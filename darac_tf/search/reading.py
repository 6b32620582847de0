"""Reading image files ahead of their use, with a hash of their content."""

import os
import stat
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from darac_tf.data.content_keys import VIEW_KEY_BYTES, content_key
from darac_tf.search.file_table import UNKNOWN

# Larger than any photograph; the files that are read ahead lie in memory.
MAX_FILE_BYTES = 128 << 20
_THREADS = 4
_AHEAD = 8
# File systems tell time in steps of up to two seconds: a file that was written so shortly before it
# was read may change again without a change of its time.
_UNSETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class ReadFile:
    """What was read of a file.

    Attributes:
        path: As bytes.
        size: In bytes, when it was read; `UNKNOWN` where the next run must read it again.
        mtime_ns: Time of its last change, likewise.
        data: Its content; None where it could not be read.
        key: Of the content (`data.content_keys`), 24 bytes, or None.
        fault: What is wrong with it, or None.
    """

    path: bytes
    size: int
    mtime_ns: int
    data: bytes | None
    key: bytes | None
    fault: str | None


def read_ahead(paths):
    """Reads files on threads, a few before they are asked for.

    Args:
        paths: Iterable of bytes.

    Yields:
        `ReadFile` of each, in order.
    """
    waiting = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for path in paths:
            waiting.append(pool.submit(read_file, path))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def read_file(path):
    """Reads one file, see `ReadFile`."""
    try:
        # Whoever put a pipe there meanwhile must not make this wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ReadFile(path, UNKNOWN, UNKNOWN, None, None, "is no file")
            size, mtime_ns = status.st_size, status.st_mtime_ns
            if mtime_ns > time.time_ns() - _UNSETTLED_NS:
                mtime_ns = UNKNOWN
            # Not all there is: it may grow without end while it is read.
            data = file.read(size + 1) if size <= MAX_FILE_BYTES else None
    except OSError as error:
        # A change of rights does not change the time of a file.
        return ReadFile(path, UNKNOWN, UNKNOWN, None, None, f"can't be read: {error.strerror}")
    if data is None:
        fault = f"is larger than {MAX_FILE_BYTES >> 20} MB"
        return ReadFile(path, size, mtime_ns, None, None, fault)
    if len(data) != size:  # it is being written
        size = UNKNOWN
    key = content_key(data).ljust(VIEW_KEY_BYTES, b"\0")
    return ReadFile(path, size, mtime_ns, data, key, None)
