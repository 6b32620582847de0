"""The bytes of image files, wherever they are: a path, a web server, an object store, in a tar.

/photos/a.jpg, sub/a.jpg          files; relative ones from a folder
https://host/a.jpg                by Python's own client, whose sockets have time limits
s3://bucket/a.jpg, gs://..., ...  by fsspec, with the package that it has for each kind
shard.tar#bytes=512-9999          a range of any of these, ends included, as HTTP's `Range`
"""

import http.client
import os
import queue
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import darac_tf
from darac_tf.data.labelled import as_named
from darac_tf.data.pillow_files import content_size, unreadable
from darac_tf.errors import UserError, printable

# No photograph has more; what goes on for ever must end.
MOST_BYTES = 1 << 28
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_BUSY = (408, 425, 429)
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_RANGE = re.compile(r"(.*)#bytes=(\d+)-(\d+)", re.DOTALL)
_AGENT = f"darac_tf/{darac_tf.__version__}"


class UnreadableError(Exception):
    """A file can't be had; the message is the reason, a line without the file's name."""


class Fetcher:
    """Reads files by their URIs, each within a time limit, and again where that may help.

    May be called from many threads.

    Args:
        folder: Where relative paths begin.
        timeout: Seconds that one attempt may take in all.
        retries: Attempts after the first. There is none for what a store says is not there or not
            allowed.
    """

    def __init__(self, folder, timeout=30.0, retries=2):
        self._folder = Path(folder)
        self._timeout, self._retries = timeout, retries

    def __call__(self, uri):
        """The content of a file, not empty.

        Raises:
            UnreadableError: With the reason of the last attempt.
            UserError: If a package for this kind of store is not installed.
        """
        whole, start, stop = _parts_of(uri)
        read = _read_http if whole.startswith(("http://", "https://")) else _read_store
        if not is_remote(whole):
            whole, read = os.path.join(self._folder, as_named(whole)), _read_file  # noqa: PTH118
        for attempt in range(self._retries + 1):
            try:
                data = _within(self._timeout, read, whole, start, stop, self._timeout)
                break
            except UserError:
                raise
            except Exception as error:  # stores have errors of their own kinds
                if _is_final(error) or attempt == self._retries:
                    raise UnreadableError(_reason(error)) from error
                time.sleep(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT))
        if not data:
            raise UnreadableError("is empty (0 bytes)")
        if stop is not None and len(data) != stop - start:
            raise UnreadableError(f"has {len(data)} of the {stop - start} bytes of its range")
        return data


def is_remote(uri):
    """Whether a URI names a store, `KIND://...`; otherwise it is a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", uri) is not None


def store_of(uri):
    """`(fsspec's file system, the path in it)` of a URI.

    `UserError` if there is no such kind, or the package for it is not installed.
    """
    try:
        import fsspec

        return fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        kind = uri.partition("://")[0]
        package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}.get(kind)
        install = f"pip install fsspec {package}" if package else str(error).splitlines()[0]
        raise UserError(f"{kind}:// can't be read here: {install}") from error


def byte_range(uri, start, count):
    """The URI of `count` bytes, at least 1, of a file, from the byte `start`."""
    return f"{uri}#bytes={start}-{start + max(count, 1) - 1}"


def _parts_of(uri):
    """`(URI of the whole file, first byte, byte after the last or None)`."""
    found = _RANGE.fullmatch(uri)
    return (found[1], int(found[2]), int(found[3]) + 1) if found else (uri, 0, None)


def _within(seconds, call, *arguments):
    """What a call gives or raises; `TimeoutError` if it takes longer, and then it is left behind.

    Neither files of a store that is gone nor most clients have a limit for the whole.
    """
    answers = queue.SimpleQueue()

    def answer():
        try:
            answers.put((call(*arguments), None))
        except BaseException as error:
            answers.put((None, error))

    # A pool would wait at its end for what never answers.
    threading.Thread(target=answer, daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return value


def _read_file(path, start, stop, _seconds):
    if not (size := content_size(path)):
        raise UnreadableError(unreadable(path).removeprefix(f"{path}: "))
    _check_size((size if stop is None else stop) - start)
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(-1 if stop is None else stop - start)


def _read_http(uri, start, stop, seconds):
    request = urllib.request.Request(uri, headers={"User-Agent": _AGENT})
    if stop is not None:
        request.add_header("Range", f"bytes={start}-{stop - 1}")
    try:
        answer = urllib.request.urlopen(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    with answer:
        is_part = answer.status == http.client.PARTIAL_CONTENT
        length = answer.length  # None where the server doesn't say.
        _check_size(length or 0)
        data = answer.read(MOST_BYTES + 1)
    _check_size(len(data))
    if length is not None and len(data) < length:
        raise OSError(f"ended after {len(data)} of {length} bytes")
    # Servers may send all of a file instead.
    return data if is_part else data[start:stop]


def _read_store(uri, start, stop, _seconds):
    store, path = store_of(uri)
    # One byte more than allowed, where all is wanted: to ask for the size would take a request.
    data = store.cat_file(path, start=start, end=MOST_BYTES + 1 if stop is None else stop)
    _check_size(len(data))
    return data


def _check_size(size):
    if size > MOST_BYTES:
        raise UnreadableError(f"has more than {MOST_BYTES >> 20} MiB")


def _is_final(error):
    """Whether to ask again gives the same."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500 and error.code not in _BUSY
    return isinstance(error, (*_FINAL, UnreadableError))


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"
    text = getattr(error, "strerror", None) or str(getattr(error, "reason", error))
    return printable((text.splitlines() or [""])[0][:200] or type(error).__name__)
