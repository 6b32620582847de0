"""Descriptors kept on disk, so that an image is described once for each model and size.

A descriptor is found by the content of its image file, the box and the turn (the key), within a
table for the model and the size. Another model, another size or other pixels never hit. Two images
with the same content share a row.
"""

import contextlib
import hashlib
import itertools
from pathlib import Path

import numpy as np

from darac_tf.data.content_keys import keys_of_images, view_keys
from darac_tf.data.images import unreadable
from darac_tf.describing.feature_table import FeatureTable
from darac_tf.errors import UserError
from darac_tf.memory import release
from darac_tf.rows import LazyRows

# Mapped pages that were read count as this process's memory until they are given back.
_MAPPED_BYTES = 64 << 20


class FeatureCache:
    """A folder of descriptors.

    Args:
        folder: Where they are kept; made when there is something to keep.
        fingerprints: Dictionary of descriptor name to `fingerprint.model_fingerprint` of everything
            that makes it: backbone, preprocessing and pooling. The name does not count, so that a
            model may move.
    """

    def __init__(self, folder, fingerprints):
        if not fingerprints:
            raise ValueError(
                f"`fingerprints` must name a descriptor. Received: fingerprints={fingerprints!r}"
            )
        self.folder = Path(folder)
        self._fingerprints = dict(fingerprints)

    def open(self, sizes, pixels_version, views, usable, progress=True):
        """`OpenCache` of some sizes for `Views`, of which some are `usable`, bool `(images,)`.

        `pixels_version` is `data.images.PIXELS_VERSION`, or a text that tells other pixels.

        Raises:
            UserError: If a table is damaged, or an image can't be read.
        """
        keys = np.zeros((len(usable), 2), np.uint64)
        keys[usable] = keys_of_images(views.paths[usable], progress)
        if gone := list(views.paths[usable & ~keys.any(axis=1)]):
            raise UserError(unreadable(gone[0]))
        tables = {size: self.tables(size, pixels_version) for size in sizes}
        return OpenCache(tables, view_keys(keys, views))

    def tables(self, size, pixels_version):
        """`{descriptor name: FeatureTable}` of one size; names of one fingerprint share a table."""
        tables = {}
        for fingerprint in set(self._fingerprints.values()):
            meta = {"model": fingerprint, "size": str(size), "pixels": pixels_version}
            identity = hashlib.blake2b(repr(sorted(meta.items())).encode(), digest_size=12)
            tables[fingerprint] = FeatureTable(self.folder / identity.hexdigest(), meta)
        return {name: tables[own] for name, own in self._fingerprints.items()}


class OpenCache:
    """What a cache has of a list of images, and where more of it goes.

    The rows of the images are checked once, when it is opened: damaged ones are missing. Of tables
    `{size: {name: FeatureTable}}` and the keys of the images, uint8 `(images, 24)`.
    """

    def __init__(self, tables, keys):
        self.sizes, self.content_keys = list(tables), keys[:, :16].copy().view("<u8")
        self._tables = tables
        self._keys = keys
        # Where several names share a table, the first one counts.
        self._names = {
            size: {table: name for name, table in reversed(named.items())}
            for size, named in tables.items()
        }
        self._all = list(itertools.chain.from_iterable(self._names.values()))
        for table in self._all:
            table.check(table.find(keys))

    def missing(self, usable):
        """bool `(images, sizes)`: sizes that a table lacks, of one usable image for each key."""
        lacking = np.zeros((len(self._keys), len(self.sizes)), bool)
        for column, size in enumerate(self.sizes):
            for table in self._names[size]:
                lacking[:, column] |= table.find(self._keys) < 0
        candidates = np.flatnonzero(lacking.any(axis=1) & usable)
        _, first = np.unique(self._keys[candidates], axis=0, return_index=True)
        missing = np.zeros_like(lacking)
        missing[candidates[first]] = lacking[candidates[first]]
        return missing

    @contextlib.contextmanager
    def writing(self):
        """Lets the block `put`; `UserError` if another process writes to one of the tables."""
        with contextlib.ExitStack() as stack:
            for table in self._all:
                stack.enter_context(table.writing())
            yield

    def put(self, size, places, descriptors):
        """Adds rows of images that `missing` has named: `{name: float32 (b, channels)}`."""
        absent = sorted(set(self._tables[size]) - set(descriptors))
        if absent:
            raise ValueError(
                f"The cache has fingerprints of descriptors that are not made. Received: {absent}"
            )
        keys = self._keys[places]
        for table, name in self._names[size].items():
            new = table.find(keys) < 0
            table.append(keys[new], descriptors[name][new])

    def descriptors(self, usable):
        """`{size: {name: CachedRows of the images}}`, zeros for those that aren't usable."""
        return {
            size: {
                name: CachedRows(table.rows(), np.where(usable, table.find(self._keys), -1))
                for name, table in tables.items()
            }
            for size, tables in self._tables.items()
        }


class CachedRows(LazyRows):
    """Descriptors of images in the order of the images, read from a table as they are asked for.

    It is indexed by numbers, slices and arrays. Memory does not grow with the rows that were read.

    Args:
        rows: Memory map `(rows, dim)`.
        index: int64 `(images,)`, the row of each image; -1 gives zeros.
    """

    def __init__(self, rows, index):
        self._rows = rows
        self._index = index
        self._mapped = 0
        self.shape = (len(index), rows.shape[1])

    def of(self, images):
        """The same of some of the images, `(len(images),)`."""
        return CachedRows(self._rows, self._index[images])

    def __getitem__(self, item):
        index = np.asarray(self._index[item])
        vectors = np.zeros((*index.shape, self.shape[1]), np.float32)
        known = index >= 0
        vectors[known] = self._rows[index[known]]
        self._mapped += vectors.nbytes
        if self._mapped > _MAPPED_BYTES:
            release(self._rows)
            self._mapped = 0
        return vectors
