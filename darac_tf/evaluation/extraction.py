"""Descriptors of a list of images, at any size, in one trace, in memory or kept on disk."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from darac_tf.data.image_list import ImageList
from darac_tf.data.images import PIXELS_VERSION, decoding_failure
from darac_tf.data.pipeline import batch_by_shape, description_batches, stored_sizes
from darac_tf.data.views import plan_views
from darac_tf.errors import UserError
from darac_tf.evaluation.feature_cache import (
    CachedRows,
    image_keys,
    missing_keys,
    one_name_each,
    writing,
)
from darac_tf.evaluation.heap import trim_heap
from darac_tf.evaluation.sizes import as_size

# About eleven images at 299, three at 540, one at 1020.
DEFAULT_BATCH_PIXELS = 1_000_000
# Images between two `trim_heap`, which takes milliseconds.
_TRIM_IMAGES = 64


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
            to descriptors `(batch, channels)`.
        images: `ImageList`, or a string array `(images,)` of paths of whole images.
        batch_pixels: Most pixels in a batch.
        progress: Whether to show a progress bar.
        skip_bad: Whether images that cannot be read are left out, see `skipped`.

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
        self._batch_pixels = batch_pixels
        self._progress = progress
        self._skip_bad = skip_bad
        self._known_keys = None
        signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
        self._describe = tf.function(describe, input_signature=signature, autograph=False)

    @property
    def traces(self):
        """How often the network was traced."""
        return self._describe.experimental_get_tracing_count()

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
        """Describes every image at one size; the aspect is kept.

        Args:
            size: `sizes.LongSide`, `sizes.Factor`, or an integer for a long side in pixels.
            cache: `feature_cache.FeatureCache` whose rows are taken and that new ones are added to.

        Returns:
            Dictionary of name to descriptors `(images, channels)` in the order of the images:
            float32 arrays, or `CachedRows` with a cache. Images that were left out have zeros.

        Raises:
            UserError: For an image that cannot be read, without `skip_bad`; if none can be read; if
                a descriptor is not finite; or if the cache is damaged or being written.
        """
        size = as_size(size)
        found = self._in_memory(size) if cache is None else self._cached(size, cache)
        if len(self._reasons) == len(self._paths):
            raise UserError(
                f"none of the {len(self._paths)} images can be read; the first: {self._reasons[0]}"
            )
        return found

    def _in_memory(self, size):
        found = {}
        for indices, batch in self._described(np.flatnonzero(self.usable), size):
            for name, vectors in batch.items():
                if name not in found:
                    found[name] = np.zeros((len(self._paths), vectors.shape[1]), np.float32)
                found[name][indices] = vectors
        return found

    def _cached(self, size, cache):
        keys, tables = self._keys(), cache.tables(size, PIXELS_VERSION)
        # More than one round only where an image was bad and another file has the same content.
        while len(self._missing(tables, keys)):
            with writing(tables):
                self._fill(tables, keys, size)
        rows = {name: table.find(keys) for name, table in tables.items()}
        usable = self.usable
        return {
            name: CachedRows(table.rows(), np.where(usable, rows[name], -1))
            for name, table in tables.items()
        }

    def _fill(self, tables, keys, size):
        # Asked again, now that nobody else writes.
        todo = self._missing(tables, keys)
        own = one_name_each(tables)
        lacking = {name: table.find(keys) < 0 for name, table in own.items()}
        for indices, batch in self._described(todo, size):
            _check_names(batch, tables)
            for name, table in own.items():
                new = lacking[name][indices]
                table.append(keys[indices[new]], batch[name][new])

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

    def _missing(self, tables, keys):
        """One usable image for each key that a table lacks."""
        candidates = np.flatnonzero(missing_keys(tables, keys) & self.usable)
        _, first = np.unique(keys[candidates], axis=0, return_index=True)
        return candidates[np.sort(first)]

    def _described(self, todo, size):
        """Yields `(indices, {name: vectors})` of the images `todo`; leaves bad ones out."""
        with tqdm(
            total=len(todo),
            desc=f"describe at {size}",
            unit="image",
            disable=not self._progress,
            mininterval=1.0,
        ) as bar:
            while len(todo):
                plan = self._plan(todo, size)
                batches = iter(description_batches(self._paths, self._views, plan, size.resize))
                starts = np.cumsum(plan.sizes) - plan.sizes
                todo = todo[:0]
                for start, count in zip(starts, plan.sizes, strict=True):
                    try:
                        indices, pixels = next(batches)
                    except tf.errors.OpError as error:
                        # Batches come in the order of the plan, so the bad image is in this one.
                        self._leave_out(plan.order[start : start + count], error)
                        todo = plan.order[start:]
                        todo = todo[self.usable[todo]]
                        break
                    yield self._describe_batch(indices.numpy(), pixels, size)
                    bar.update(len(indices))
                    if start // _TRIM_IMAGES != (start + count) // _TRIM_IMAGES:
                        trim_heap()

    def _plan(self, todo, size):
        shapes = np.stack(size.planned_size(*self._views.shapes[todo].T), axis=1)
        plan = batch_by_shape(shapes, self._batch_pixels)
        return plan._replace(order=todo[plan.order])

    def _describe_batch(self, indices, pixels, size):
        batch = {}
        for name, vectors in self._describe(pixels).items():
            vectors = np.asarray(vectors, np.float32)
            if vectors.ndim != 2 or len(vectors) != len(indices):
                raise ValueError(
                    "`describe` must give one vector for each image. "
                    f"Received: {name!r} of shape {vectors.shape} for {len(indices)} images"
                )
            finite = np.isfinite(vectors).all(axis=1)
            if not finite.all():
                path = self._paths[indices[np.argmin(finite)]]
                raise UserError(
                    f"{path}: its descriptor {name!r} at {size} is not finite (NaN or infinity); "
                    "check the weights of the model"
                )
            batch[name] = vectors
        return indices, batch

    def _leave_out(self, indices, error):
        """Finds the bad images of a batch."""
        found = {}
        for index in indices:
            reason = decoding_failure(self._paths[index], self._sizes[index])
            if reason and not self._skip_bad:
                raise UserError(reason) from error
            if reason:
                found[int(index)] = reason
        if not found:
            raise error
        self._reasons.update(found)


def _check_names(batch, tables):
    absent = sorted(set(tables) - set(batch))
    if absent:
        raise ValueError(
            f"The cache has fingerprints of descriptors that are not made. Received: {absent}"
        )
