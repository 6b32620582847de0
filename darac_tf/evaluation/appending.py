"""Files that grow at their end, by one process at a time."""

import contextlib
import fcntl
import os

from darac_tf.errors import UserError


def append_bytes(file, data):
    """Appends all of `data` to an unbuffered file."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


@contextlib.contextmanager
def only_writer(path):
    """Keeps a lock during the block; the kernel takes it back however the process ends.

    Args:
        path: A file for the lock, made if need be, that holds the number of the process.

    Raises:
        UserError: If another process has the lock.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(
                f"{path.parent} is being written by process {file.read().strip() or 'unknown'}; "
                "wait until it ends, or use another cache folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextlib.contextmanager
def write_errors(folder):
    """Turns a failure to write in the block, such as a full disk, into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"can't write the cache {folder}: {error.strerror}") from error
