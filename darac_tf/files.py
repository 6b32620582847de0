"""Writing files: whole or not at all, or growing at their end by one process at a time."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from pathlib import Path

from darac_tf.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path):
    """Gives a temporary path to write to, which becomes `path` when the block succeeds.

    The temporary name lies in the same folder and ends like `path`, so that writers which go by
    the file name's ending see the right one. When the block raises, what was written is removed
    and an earlier `path` stays as it was. An interrupted program leaves no half-written `path`;
    a loss of power may.

    Args:
        path: Where the file or folder shall end up. Missing parent folders are created. A file
            is replaced; a folder that exists must be empty.

    Yields:
        `pathlib.Path` that does not exist yet: the block makes a file or a folder there.

    Raises:
        UserError: If `path` can't be written there, is a folder that holds something, or the disk
            is full.
        ValueError: If the block made nothing.
    """
    path = Path(path)
    check_target(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        if not temporary.exists():
            raise ValueError(f"Nothing was written for {path}. Received: no file at {temporary}")
        try:
            temporary.replace(path)
        except OSError as error:
            raise UserError(
                f"can't write {path}: {error.strerror}; move what is there or name another path"
            ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"can't write {path}: {error.strerror}; free space or name another path"
        ) from error
    finally:
        # After a success nothing is left under the temporary name.
        remove(temporary)


def check_target(path):
    """Finds what `atomic_path` would fail at in the end, before anything is computed for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"can't create the folder {path.parent}: {error.strerror}; name another path"
        ) from error
    if path.is_dir() and any(path.iterdir()):
        raise UserError(f"{path} is a folder that is not empty: empty it or name another path")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"can't write to the folder {path.parent}: change its rights or the path")


def remove(path):
    """Removes a file, or a folder with all in it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def user_folder(kind):
    """The project's folder among a user's own: kind is "cache" (can be made again) or "data".

    Below `$XDG_CACHE_HOME` or `~/.cache`, `$XDG_DATA_HOME` or `~/.local/share`; it need not exist.
    `UserError` if the user has no home.
    """
    variable, usual = f"XDG_{kind.upper()}_HOME", {"cache": ".cache", "data": ".local/share"}[kind]
    try:
        parent = os.environ.get(variable) or Path.home() / usual
    except RuntimeError as error:
        raise UserError(f"there is no home folder: set {variable}") from error
    return Path(parent).absolute() / "darac_tf"


def exists(path):
    """Whether there is such a file or folder, of any text: it may be too long for a name."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib fails for long ones


def numbered(folder):
    """`{number: pathlib.Path}` by rising number, of entries of a folder whose names are numbers.

    A folder that does not exist has none.
    """
    paths = Path(folder).glob("*")
    numbers = {int(p.name): p for p in paths if p.name.isascii() and p.name.isdecimal()}
    return dict(sorted(numbers.items()))


def common_folder(paths):
    """The folder that holds all of some files, or None: no files, or relative and absolute ones."""
    try:
        return os.path.commonpath({Path(path).parent for path in paths}) or None
    except ValueError:
        return None


def append_bytes(file, data):
    """Appends all of `data` to an unbuffered file."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


@contextlib.contextmanager
def only_writer(path):
    """Keeps a lock during the block; the kernel takes it back however the process ends.

    Its file, made if need be, holds the number of the process.

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
                "wait until it ends, or name another folder"
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
