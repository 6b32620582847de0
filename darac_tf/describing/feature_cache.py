"""Descriptors kept on disk, so that an image is described once for each model and size.

A descriptor is found by the content of its image file, the box and the turn (the key), within a
table for the model and the size. Another model, another size or other pixels never hit. Two images
with the same content share a row.
"""

import contextlib
import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from darac_tf.describing.feature_table import KEY_BYTES, FeatureTable
from darac_tf.memory import release

# Hashing waits for the disk more than it computes.
_HASH_THREADS = 8
_HASH_AT_ONCE = 256
# Mapped pages that were read count as this process's memory until they are given back.
_MAPPED_BYTES = 64 << 20


class FeatureCache:
    """A folder of descriptors.

    Args:
        folder: Where they are kept; made when there is something to keep.
        fingerprints: Dictionary of descriptor name to `fingerprint.model_fingerprint` of everything
            that makes it: backbone, preprocessing and pooling. The name does not count, so that a
            model may move.
        notes: Dictionary of strings for `meta.json`, such as versions; it does not count either.

    Raises:
        ValueError: If there are no fingerprints.
    """

    def __init__(self, folder, fingerprints, notes=None):
        if not fingerprints:
            raise ValueError(
                f"`fingerprints` must name a descriptor. Received: fingerprints={fingerprints!r}"
            )
        self.folder = Path(folder)
        self.names = tuple(fingerprints)
        self._fingerprints = dict(fingerprints)
        self._notes = dict(notes or {})

    def tables(self, size, pixels_version):
        """Opens the tables of one size.

        Args:
            size: `sizes.LongSide` or `sizes.Factor`.
            pixels_version: `data.images.PIXELS_VERSION`, or a text that tells other pixels.

        Returns:
            Dictionary of descriptor name to `FeatureTable`; names of one fingerprint share it.

        Raises:
            UserError: If a table is damaged.
        """
        tables = {}
        for fingerprint in self._fingerprints.values():
            meta = {"model": fingerprint, "size": str(size), "pixels": pixels_version}
            identity = hashlib.blake2b(repr(sorted(meta.items())).encode(), digest_size=12)
            folder = self.folder / identity.hexdigest()
            if fingerprint not in tables:
                tables[fingerprint] = FeatureTable(folder, meta, self._notes)
        return {name: tables[own] for name, own in self._fingerprints.items()}


def missing_keys(tables, keys):
    """Which keys one of the tables lacks, bool `(n,)`."""
    lacking = np.zeros(len(keys), bool)
    for table in one_name_each(tables).values():
        lacking |= table.find(keys) < 0
    return lacking


def one_name_each(tables):
    """A dictionary of tables, without further names of the same table."""
    first = {}
    for name, table in tables.items():
        first.setdefault(id(table), (name, table))
    return dict(first.values())


@contextlib.contextmanager
def writing(tables):
    """Lets the block append to all tables of a dictionary.

    Raises:
        UserError: If another process writes to one of them.
    """
    with contextlib.ExitStack() as stack:
        for table in one_name_each(tables).values():
            stack.enter_context(table.writing())
        yield


def image_keys(paths, boxes, turns, progress=True):
    """Keys of images: a hash of the file's bytes, the box in whole pixels and the turn.

    Args:
        paths: String array `(images,)`; they must be readable.
        boxes: int64 `(images, 4)`, `0, 0, width, height` for whole images.
        turns: int64 `(images,)`, 0..3.
        progress: Whether to show a progress bar.

    Returns:
        uint8 `(images, 24)`.
    """
    keys = np.empty((len(paths), KEY_BYTES), np.uint8)
    tails = np.column_stack([boxes, turns]).astype("<i8")

    def fill(index):
        digest = hashlib.blake2b(Path(paths[index]).read_bytes(), digest_size=KEY_BYTES)
        digest.update(tails[index].tobytes())
        keys[index] = np.frombuffer(digest.digest(), np.uint8)

    hide = not progress or len(paths) < 1000
    with (
        ThreadPoolExecutor(_HASH_THREADS) as threads,
        tqdm(total=len(paths), desc="hash", unit=" images", disable=hide) as bar,
    ):
        # A few at a time: a million tasks in the queue would take a gigabyte.
        remaining = iter(range(len(paths)))
        while some := list(itertools.islice(remaining, _HASH_AT_ONCE)):
            bar.update(len(list(threads.map(fill, some))))
    return keys


class CachedRows:
    """Descriptors of images in the order of the images, read from a table as they are asked for.

    Reads like a float32 array `(images, dim)`: `shape`, `dtype`, `len`, and indexing by a number, a
    slice or an array along the first axis, which gives a new array. Memory does not grow with the
    number of rows that were read.

    Args:
        rows: Memory map `(rows, dim)`.
        index: int64 `(images,)`, the row of each image; -1 gives zeros.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, rows, index):
        self._rows = rows
        self._index = index
        self._mapped = 0
        self.shape = (len(index), rows.shape[1])

    def __len__(self):
        return len(self._index)

    def __getitem__(self, item):
        index = np.asarray(self._index[item])
        found = np.zeros((*index.shape, self.shape[1]), np.float32)
        known = index >= 0
        found[known] = self._rows[index[known]]
        self._give_back(found.nbytes)
        return found

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("CachedRows are read from disk. Received: copy=False")
        return self[:].astype(dtype or self.dtype, copy=False)

    def _give_back(self, read):
        self._mapped += read
        if self._mapped > _MAPPED_BYTES:
            release(self._rows)
            self._mapped = 0
