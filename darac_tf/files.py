"""Writing files so that a reader sees the whole of one or none of it."""

import contextlib
import errno
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
    _check_target(path)
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
        _remove(temporary)


def _check_target(path):
    """Finds what would fail at the end before anything is computed for it."""
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


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
