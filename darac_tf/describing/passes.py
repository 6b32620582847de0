"""Passes over image files: each image is decoded once, and described at every size."""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from darac_tf.data.images import decoding_failure
from darac_tf.data.pipeline import MAX_BATCH, batch_by_shape, description_batches
from darac_tf.errors import UserError
from darac_tf.memory import trim_heap

# Pixels that are held for one batch over all sizes, in batches of one size.
_HELD_BATCHES = 4
# Images between two `trim_heap`, which takes milliseconds.
_TRIM_IMAGES = 64


class Passes:
    """Describes images of a list, and keeps which of them can't be read.

    Args:
        describe: Function of pixels `(batch, height, width, 3)` in [0, 255] to a dictionary of name
            to descriptors `(batch, channels)`.
        paths: String array `(images,)`.
        stored: int `(images, 2)`, heights and widths that the headers give.
        batch_pixels: Most pixels that are described together.
        failures: Dictionary of place to reason, of images that can't be read; more are added.
        progress: Whether to show a progress bar.
        skip_bad: Whether images that can't be read are left out, instead of ending the pass.
    """

    def __init__(self, describe, paths, stored, batch_pixels, failures, progress, skip_bad):
        self._describe = describe
        self._paths = paths
        self._stored = stored
        self._batch_pixels = batch_pixels
        self._failures = failures
        self._progress = progress
        self._skip_bad = skip_bad

    def described(self, todo, sizes, views):
        """Describes images at several sizes.

        Args:
            todo: int `(n,)`, places of the images.
            sizes: Non-empty sequence of `sizes.LongSide` and `sizes.Factor`.
            views: `Views` of all images.

        Yields:
            `(places (b,), {size: {name: float32 (b, channels)}})`, without images that were left
            out.

        Raises:
            UserError: For an image that can't be read, without `skip_bad`, and for a descriptor
                that is not finite.
        """
        with tqdm(
            total=len(todo),
            desc=f"describe at {', '.join(map(str, sizes))}",
            unit="image",
            disable=not self._progress,
            mininterval=1.0,
        ) as bar:
            while len(todo):
                plan = self._plan(todo, sizes, views)
                batches = iter(description_batches(self._paths, views, plan))
                starts = np.cumsum(plan.sizes) - plan.sizes
                todo = todo[:0]
                for start, count in zip(starts, plan.sizes, strict=True):
                    try:
                        indices, pixels = next(batches)
                    except tf.errors.OpError as error:
                        # Batches come in the order of the plan, so the bad image is in this one.
                        self._leave_out(plan.order[start : start + count], error)
                        todo = plan.order[start:]
                        todo = todo[[int(place) not in self._failures for place in todo]]
                        break
                    indices = indices.numpy()
                    found = zip(sizes, pixels, strict=True)
                    yield indices, {s: self._describe_all(indices, x, s) for s, x in found}
                    bar.update(len(indices))
                    if start // _TRIM_IMAGES != (start + count) // _TRIM_IMAGES:
                        trim_heap()

    def _plan(self, todo, sizes, views):
        sides = views.shapes[todo].T
        shapes = [np.stack(size.planned_size(*sides), axis=1) for size in sizes]
        held = self._batch_pixels * (1 if len(sizes) == 1 else _HELD_BATCHES)
        plan = batch_by_shape(np.stack(shapes, axis=1), held)
        return plan._replace(order=todo[plan.order])

    def _describe_all(self, indices, pixels, size):
        """`{name: vectors}` of images of one shape, as many at a time as pixels allow."""
        area = pixels.shape[1] * pixels.shape[2]
        step = min(max(self._batch_pixels // area, 1), MAX_BATCH)
        parts = [
            self._describe_some(indices[start : start + step], pixels[start : start + step], size)
            for start in range(0, len(indices), step)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _describe_some(self, indices, pixels, size):
        found = {}
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
            found[name] = vectors
        return found

    def _leave_out(self, indices, error):
        """Finds the bad images of a batch."""
        found = {}
        for index in indices:
            reason = decoding_failure(self._paths[index], self._stored[index])
            if reason and not self._skip_bad:
                raise UserError(reason) from error
            if reason:
                found[int(index)] = reason
        if not found:
            raise error
        self._failures.update(found)
