"""Which image files lie below a folder."""

import os

from darac_tf.data.images import IMAGE_SUFFIXES

_SUFFIXES = tuple(os.fsencode(suffix) for suffix in IMAGE_SUFFIXES)


def image_files(folder, on_fault):
    """Walks a folder: images by the ends of their names, in the order of names.

    Names that begin with a dot are left out: they are hidden files and what systems keep beside
    files. Links to files are followed, links to folders are not, so that the walk ends.

    Args:
        folder: Path as bytes.
        on_fault: Called with the path (bytes) of a folder or file that can't be looked at, and
            why.

    Yields:
        `(path as bytes, size, mtime_ns)`.
    """

    def unlisted(error):
        on_fault(error.filename, f"can't be listed: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=unlisted):
        folders[:] = sorted(name for name in folders if not name.startswith(b"."))
        for name in sorted(names):
            if name.startswith(b".") or not name.lower().endswith(_SUFFIXES):
                continue
            path = os.path.join(parent, name)  # noqa: PTH118 - pathlib takes no bytes
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError as error:
                on_fault(path, f"can't be read: {error.strerror}")
                continue
            yield path, status.st_size, status.st_mtime_ns
