"""Descriptors of a list of images, at any size, in one trace, in memory or kept on disk."""

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from darac_tf.choices import DEFAULT_BATCH_PIXELS
from darac_tf.data.images import PIXELS_VERSION
from darac_tf.data.pipeline import MAX_BATCH, sized_batches
from darac_tf.data.views import Views, read_views
from darac_tf.describing.combination import Vectors
from darac_tf.describing.sizes import as_size
from darac_tf.engines import as_engine
from darac_tf.errors import UserError
from darac_tf.memory import trim_heap
from darac_tf.phases import phase
from darac_tf.threads import side_by_side

# Pixels that are held for one batch over all sizes, in batches of one size.
_HELD_BATCHES = 4
# Images between two `trim_heap`, which takes milliseconds.
_TRIM_IMAGES = 64


class Skipped(NamedTuple):
    """An image that was left out: its place in the list, its file, and a line that says why."""

    index: int
    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Features:
    """Descriptors of a list of images; `features[size][name]` are those at one size."""

    # Dictionary of size to dictionaries of name to descriptors `(images, channels)` in the order of
    # the images: float32 arrays, or `CachedRows` where there was a cache. Images that were left out
    # have zeros.
    by_size: dict
    usable: np.ndarray  # bool `(images,)`, False for images that were left out.
    skipped: tuple  # Tuple of `Skipped`, in the order of the images.
    keys: np.ndarray  # uint64 `(images, 2)`, as of `content_keys.keys_of_images`.

    def __getitem__(self, size):
        return self.by_size[as_size(size)]

    def vectors(self, name, sizes=None, mode="sum", exponent=None):
        """What is compared: the descriptors `name` as `Vectors` `(images, channels)`.

        Those of some of the sizes (None for all) are combined, see `combine_resolutions`; at once
        where they are in memory.
        """
        parts = [self[size][name] for size in sizes or self.by_size]
        vectors = Vectors(parts, mode, exponent).in_memory()
        return Vectors([vectors]) if isinstance(vectors, np.ndarray) else vectors


def extract_features(
    describe,
    images,
    sizes,
    cache=None,
    *,
    batch_pixels=DEFAULT_BATCH_PIXELS,
    progress=True,
    skip_bad=False,
    scaled_decoding=False,
):
    """Describes images at several sizes.

    Each image is decoded once for all sizes and keeps its aspect: its box is cut out, the crop is
    turned, and then resized once for each size. Images of one shape are described together.

    Args:
        describe: Function of pixels `(batch, height, width, 3)` in [0, 255] to a dictionary of name
            to descriptors `(batch, channels)`, in TensorFlow; or an engine (`darac_tf.engines`),
            which is traced once for all calls with it.
        images: `ImageList`, or a string array `(images,)` of paths of whole images.
        sizes: Sequence of `sizes.LongSide`, `sizes.Factor`, or integers for long sides in pixels.
        cache: `feature_cache.FeatureCache` whose rows are taken and that new ones are added to.
        batch_pixels: Most pixels in a batch.
        progress: Whether to show a progress bar.
        skip_bad: Whether images that cannot be read are left out, instead of refused.
        scaled_decoding: Whether JPEGs without a box are decoded at a part of their size where all
            `sizes` need less than half of it (`data.images.decode_scaled`).

    Returns:
        `Features`.

    Raises:
        UserError: If there are no images, none can be read, or without `skip_bad` one can't be; if
            a box lies outside its image, a descriptor is not finite, or the cache is damaged or
            being written.
    """
    if not len(images):
        raise UserError("there are no images to describe: the list is empty")
    sizes = list(dict.fromkeys(map(as_size, sizes)))
    with phase(f"headers of {len(images)} images"):
        views, failures = read_views(images, progress, skip_bad)
    pixels_version = PIXELS_VERSION
    if scaled_decoding:
        views = views.scaled(sizes)
        pixels_version = f"{PIXELS_VERSION} for {','.join(map(str, sizes))}"
    extraction = _Extraction(as_engine(describe), views, failures, batch_pixels, progress, skip_bad)
    if cache is None:
        store = _InMemory(len(images), sizes)
    else:
        store = cache.open(sizes, pixels_version, views, extraction.usable, progress)
        extraction.keys[:] = store.content_keys
    # More than one round only where an image was bad and another file has the same content.
    while store.missing(extraction.usable).any():
        with store.writing(), phase(f"describe {len(images)} images"):
            extraction.describe_missing(store)
    return extraction.features(store)


@dataclass
class _Extraction:
    """Describes images, and keeps which of them can't be read: `failures`, reasons by place."""

    describe: Callable
    views: Views
    failures: dict
    batch_pixels: int
    progress: bool
    skip_bad: bool

    def __post_init__(self):
        self.keys = np.zeros((len(self.views.paths), 2), np.uint64)

    @property
    def usable(self):
        """bool `(images,)`, False for images that can't be read as far as is known."""
        return ~np.isin(np.arange(len(self.views.paths)), list(self.failures))

    def features(self, store):
        """`Features` of all that was put into a store."""
        paths, reasons, usable = self.views.paths, self.failures, self.usable
        if not usable.any():
            raise UserError(f"none of the {len(paths)} images can be read; the first: {reasons[0]}")
        skipped = tuple(Skipped(i, str(paths[i]), reasons[i]) for i in sorted(reasons))
        return Features(store.descriptors(usable), usable, skipped, self.keys)

    def describe_missing(self, store):
        """Puts into the store what it lacks; images that lack the same sizes go together."""
        missing = store.missing(self.usable)
        for pattern in np.unique(missing[missing.any(axis=1)], axis=0):
            places = np.flatnonzero((missing == pattern).all(axis=1))
            sizes = list(itertools.compress(store.sizes, pattern))
            for batch, described in self._described(self._batches(places, sizes), sizes):
                self.keys[batch.places] = batch.keys
                for size, vectors in described.items():
                    if vectors is None:
                        why = f"too small for the network at {size}, or it fails; take larger sizes"
                        self._fail({p: f"{self.views.paths[p]}: {why}" for p in batch.places})
                        break
                    store.put(size, batch.places, vectors)

    def _described(self, batches, sizes):
        """Yields each batch and a dictionary of size to what `_descriptors` gives.

        The first size at which the network fails is the last one there. Images of many shapes make
        small batches; one after another, these would leave processors idle.
        """

        def describe(batch):
            described = {}
            for size, pixels in zip(sizes, batch.pixels, strict=True):
                described[size] = self._descriptors(batch.places, pixels, size)
                if described[size] is None:
                    break
            return described

        def weigh(batch):
            return max(np.prod(pixels.shape[:3]) for pixels in batch.pixels)

        at_once = getattr(self.describe, "at_once", 1)
        return side_by_side(describe, batches, weigh, self.batch_pixels, at_once)

    def _fail(self, reasons):
        if not self.skip_bad:
            raise UserError(next(iter(reasons.values())))
        self.failures.update(reasons)

    def _batches(self, places, sizes):
        """Yields `SizedBatch` of images that can be read."""
        held = self.batch_pixels * (1 if len(sizes) == 1 else _HELD_BATCHES)
        text, hide = f"describe at {', '.join(map(str, sizes))}", not self.progress
        with tqdm(total=len(places), desc=text, unit="image", disable=hide, mininterval=1.0) as bar:
            done = 0
            for batch in sized_batches(self.views, places, sizes, held):
                if batch.failures:
                    self._fail(batch.failures)
                    continue
                yield batch
                before, done = done, done + len(batch.places)
                bar.update(len(batch.places))
                if before // _TRIM_IMAGES != done // _TRIM_IMAGES:
                    trim_heap()

    def _descriptors(self, places, pixels, size):
        """`{name: descriptors}` of images of one shape, as many at a time as pixels allow.

        None where the network fails.
        """
        area = pixels.shape[1] * pixels.shape[2]
        step = min(max(self.batch_pixels // area, 1), MAX_BATCH)
        try:
            parts = [self.describe(pixels[i : i + step]) for i in range(0, len(places), step)]
        except tf.errors.InvalidArgumentError:
            return None
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        described = {name: np.asarray(x, np.float32) for name, x in joined.items()}
        for name, vectors in described.items():
            if vectors.ndim != 2 or len(vectors) != len(places):
                raise ValueError(
                    "`describe` must give one vector for each image. "
                    f"Received: {name!r} of shape {vectors.shape} for {len(places)} images"
                )
            finite = np.isfinite(vectors).all(axis=1)
            if not finite.all():
                path = self.views.paths[places[np.argmin(finite)]]
                raise UserError(
                    f"{path}: its descriptor {name!r} at {size} is not finite (NaN or infinity); "
                    "check the weights of the model"
                )
        return described


class _InMemory:
    """Descriptors as arrays; what `feature_cache.OpenCache` is on disk."""

    def __init__(self, n_images, sizes):
        self.sizes = sizes
        self._arrays = {size: {} for size in sizes}
        self._missing = np.ones((n_images, len(sizes)), bool)

    def missing(self, usable):
        return self._missing & usable[:, np.newaxis]

    def writing(self):
        return contextlib.nullcontext()

    def put(self, size, places, descriptors):
        for name, vectors in descriptors.items():
            shape = len(self._missing), vectors.shape[1]
            self._arrays[size].setdefault(name, np.zeros(shape, np.float32))[places] = vectors
        self._missing[places, self.sizes.index(size)] = False

    def descriptors(self, _usable):  # zeros are there already
        return self._arrays
