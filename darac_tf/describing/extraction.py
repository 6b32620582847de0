"""Descriptors of a list of images, at any size, in one trace, in memory or kept on disk."""

import contextlib
import itertools
from typing import NamedTuple

import numpy as np

from darac_tf.data.image_list import ImageList
from darac_tf.data.images import PIXELS_VERSION
from darac_tf.data.pipeline import stored_sizes
from darac_tf.data.scaled_decoding import are_jpeg, decoding_ratios
from darac_tf.data.views import plan_views
from darac_tf.describing.feature_cache import (
    CachedRows,
    image_keys,
    missing_keys,
    one_name_each,
    writing,
)
from darac_tf.describing.passes import Passes
from darac_tf.describing.sizes import as_size
from darac_tf.engines import as_engine
from darac_tf.errors import UserError

# About eleven images at 299, three at 540, one at 1020.
DEFAULT_BATCH_PIXELS = 1_000_000


class Skipped(NamedTuple):
    """An image that was left out.

    Attributes:
        index: Its place in the list.
        path: Its file.
        reason: A line that names the file and says what is wrong with it.
    """

    index: int
    path: str
    reason: str


class Extractor:
    """Describes images; those of one shape go through the network together.

    A box is cut out of the stored image, the crop is turned, and then resized once.

    Args:
        describe: Function of pixels `(batch, height, width, 3)` in [0, 255] to a dictionary of name
            to descriptors `(batch, channels)`, in TensorFlow; or an engine (`darac_tf.engines`).
        images: `ImageList`, or a string array `(images,)` of paths of whole images.
        batch_pixels: Most pixels in a batch.
        progress: Whether to show a progress bar.
        skip_bad: Whether images that cannot be read are left out, see `skipped`.
        scaled_decoding: Whether JPEGs without a box are decoded at a part of their size where all
            sizes that are asked for at once need less than half of it (`data.scaled_decoding`).

    Raises:
        UserError: If there are no images, a box lies outside its image, or without `skip_bad` for
            an image that cannot be read.
    """

    def __init__(
        self,
        describe,
        images,
        batch_pixels=DEFAULT_BATCH_PIXELS,
        progress=True,
        skip_bad=False,
        scaled_decoding=False,
    ):
        if not isinstance(images, ImageList):
            images = ImageList(np.asarray(images))
        if not len(images):
            raise UserError("there are no images to describe: the list is empty")
        self._paths = np.asarray(images.paths)
        self._reasons = {}
        failures = self._reasons if skip_bad else None
        self._sizes = stored_sizes(self._paths, progress, failures)
        self._views = plan_views(images, self._sizes)
        self._progress = progress
        self._scaled_decoding = scaled_decoding
        self._known_keys = None
        self._describe = as_engine(describe)
        self._passes = Passes(
            self._describe,
            self._paths,
            self._sizes,
            batch_pixels,
            self._reasons,
            progress,
            skip_bad,
        )

    @property
    def traces(self):
        """How often the network was traced."""
        return self._describe.traces

    @property
    def skipped(self):
        """List of `Skipped`, in the order of the images; complete after `extract`."""
        return [Skipped(i, str(self._paths[i]), self._reasons[i]) for i in sorted(self._reasons)]

    @property
    def usable(self):
        """bool `(images,)`, False for images that were left out."""
        usable = np.ones(len(self._paths), bool)
        usable[list(self._reasons)] = False
        return usable

    def extract(self, size, cache=None):
        """Describes every image at one size; see `extract_all`."""
        return self.extract_all([size], cache)[as_size(size)]

    def extract_all(self, sizes, cache=None):
        """Describes every image at several sizes; it is decoded once, and keeps its aspect.

        Args:
            sizes: Sequence of `sizes.LongSide`, `sizes.Factor`, or integers for long sides in
                pixels.
            cache: `feature_cache.FeatureCache` whose rows are taken and that new ones are added to.

        Returns:
            Dictionary of size to dictionaries of name to descriptors `(images, channels)` in the
            order of the images: float32 arrays, or `CachedRows` with a cache. Images that were left
            out have zeros.

        Raises:
            UserError: For an image that cannot be read, without `skip_bad`; if none can be read; if
                a descriptor is not finite; or if the cache is damaged or being written.
        """
        sizes = list(dict.fromkeys(map(as_size, sizes)))
        found = self._in_memory(sizes) if cache is None else self._cached(sizes, cache)
        if len(self._reasons) == len(self._paths):
            raise UserError(
                f"none of the {len(self._paths)} images can be read; the first: {self._reasons[0]}"
            )
        return found

    def _in_memory(self, sizes):
        found = {size: {} for size in sizes}
        views, _ = self._decoded(sizes)
        for indices, batch in self._passes.described(np.flatnonzero(self.usable), sizes, views):
            for size, vectors_of in batch.items():
                for name, vectors in vectors_of.items():
                    if name not in found[size]:
                        shape = len(self._paths), vectors.shape[1]
                        found[size][name] = np.zeros(shape, np.float32)
                    found[size][name][indices] = vectors
        return found

    def _cached(self, sizes, cache):
        keys = self._keys()
        views, pixels = self._decoded(sizes)
        tables = {size: cache.tables(size, pixels) for size in sizes}
        # More than one round only where an image was bad and another file has the same content.
        while self._lacking(tables, keys).any():
            with contextlib.ExitStack() as stack:
                for of_size in tables.values():
                    stack.enter_context(writing(of_size))
                self._fill(tables, keys, views)
        usable = self.usable
        return {
            size: {
                name: CachedRows(table.rows(), np.where(usable, table.find(keys), -1))
                for name, table in of_size.items()
            }
            for size, of_size in tables.items()
        }

    def _fill(self, tables, keys, views):
        # Asked again, now that nobody else writes.
        lacking = self._lacking(tables, keys)
        # Those that lack the same sizes are described together.
        for pattern in np.unique(lacking[lacking.any(axis=1)], axis=0):
            todo = np.flatnonzero((lacking == pattern).all(axis=1))
            sizes = list(itertools.compress(tables, pattern))
            for indices, batch in self._passes.described(todo, sizes, views):
                for size, vectors_of in batch.items():
                    _append(tables[size], keys[indices], vectors_of)

    def _decoded(self, sizes):
        """`Views` as images are decoded for all of these sizes, and what tells such pixels."""
        if not self._scaled_decoding:
            return self._views, PIXELS_VERSION
        ratios = decoding_ratios(np.maximum(self._sizes, 1), sizes)
        ratios[~are_jpeg(self._paths)] = 1
        if self._views.boxes is not None:
            whole = np.pad(self._sizes[:, ::-1], [(0, 0), (2, 0)])
            ratios[(self._views.boxes != whole).any(axis=1)] = 1
        pixels = f"{PIXELS_VERSION} for {','.join(map(str, sizes))}"
        return self._views._replace(ratios=ratios), pixels

    def _keys(self):
        """Of unreadable images the keys are zeros."""
        if self._known_keys is None:
            boxes, turns = self._views.boxes, self._views.turns
            if boxes is None:
                boxes = np.concatenate([np.zeros_like(self._sizes), self._sizes[:, ::-1]], axis=1)
            if turns is None:
                turns = np.zeros(len(self._paths), np.int64)
            ok = np.flatnonzero(self.usable)
            found = image_keys(self._paths[ok], boxes[ok], turns[ok], self._progress)
            self._known_keys = np.zeros((len(self._paths), found.shape[1]), np.uint8)
            self._known_keys[ok] = found
        return self._known_keys

    def _lacking(self, tables, keys):
        """bool `(images, sizes)`: sizes that a table lacks, of one usable image for each key."""
        lacking = np.stack([missing_keys(of_size, keys) for of_size in tables.values()], axis=1)
        candidates = np.flatnonzero(lacking.any(axis=1) & self.usable)
        _, first = np.unique(keys[candidates], axis=0, return_index=True)
        chosen = np.zeros_like(lacking)
        chosen[candidates[first]] = lacking[candidates[first]]
        return chosen


def _append(tables, keys, vectors_of):
    """Adds the rows of new keys to the tables of one size."""
    _check_names(vectors_of, tables)
    for name, table in one_name_each(tables).items():
        new = table.find(keys) < 0
        table.append(keys[new], vectors_of[name][new])


def _check_names(batch, tables):
    absent = sorted(set(tables) - set(batch))
    if absent:
        raise ValueError(
            f"The cache has fingerprints of descriptors that are not made. Received: {absent}"
        )
