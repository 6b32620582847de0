"""Which images a whitening was fitted on, told by the content of their files.

An image's key is two uint64 numbers: the size of its file in bytes, and eight bytes of the BLAKE2b
hash of its content. That two of 10^6 x 10^6 different images share a hash has a probability below
10^-7. The size stands beside it because it is known without reading: most files need no hashing.
"""

import hashlib
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError


def keys_of_images(paths):
    """Keys of image files.

    Args:
        paths: `(images,)` paths.

    Returns:
        uint64 array `(images, 2)`: file size in bytes, hash of the content.

    Raises:
        UserError: If a file can't be read; names it.
    """
    keys = np.zeros((len(paths), 2), np.uint64)
    keys[:, 0] = file_sizes(paths)
    keys[:, 1] = content_hashes(paths)
    return keys


def file_sizes(paths):
    """Sizes of files in bytes, uint64 `(files,)`.

    Raises:
        UserError: If there is no such file; names it.
    """
    return np.array([_read(path, lambda p: p.stat().st_size) for path in paths], np.uint64)


def content_hashes(paths):
    """BLAKE2b hashes of the content of files, eight bytes each, uint64 `(files,)`.

    Raises:
        UserError: If a file can't be read; names it.
    """
    return np.array([_read(path, _content_hash) for path in paths], np.uint64)


def as_set(keys):
    """Keys without repetition and in rising order, `(images, 2)`."""
    return np.unique(keys, axis=0)


def fingerprint(keys):
    """One short name of a set of images: 16 hexadecimal digits, whatever the order.

    Args:
        keys: uint64 `(images, 2)`.
    """
    content = as_set(keys).astype("<u8").tobytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _content_hash(path):
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
    return int.from_bytes(digest, "little")


def _read(path, function):
    try:
        return function(Path(path))
    except OSError as error:
        raise UserError(f"can't read the image {path}: {error.strerror}; check the path") from error
