"""The tf.data pipeline of description: images decoded once, batched by shape."""

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from darac_tf.data.content_keys import content_key
from darac_tf.data.exif import turn_upright
from darac_tf.data.images import crop, decode_image, decode_scaled, decoding_failure, resize, turn
from darac_tf.threads import CORES

# Functions of datasets have no Python that is to become operations, and looking takes its time.
AS_WRITTEN = tf.autograph.experimental.do_not_convert
# Most images that are described together.
MAX_BATCH = 64


class ShapeBatches(NamedTuple):
    """The order in which images are described, so that those of one shape are together."""

    order: np.ndarray  # int64 (images,), image indices
    batch: np.ndarray  # int64 (images,), the number of the batch that each of them belongs to
    sizes: np.ndarray  # int64 (batches,), images in each batch
    shapes: np.ndarray  # int (images, sizes, 2), heights and widths after the resizes


def batch_by_shape(shapes, batch_pixels):
    """`ShapeBatches` of images by `shapes` `(images, sizes, 2)`, heights and widths when resized.

    Batches fill without padding. They have at most `batch_pixels` over all sizes, or one image.
    """
    flat = shapes.reshape(len(shapes), -1)
    order = np.lexsort(flat.T[::-1])
    ordered = shapes[order]
    _, first, counts = np.unique(flat[order], axis=0, return_index=True, return_counts=True)
    pixels = ordered.prod(axis=2).sum(axis=1)
    capacity = np.clip(batch_pixels // pixels, 1, MAX_BATCH)
    place = np.arange(len(order)) - np.repeat(first, counts)
    batch = np.cumsum(place % capacity == 0) - 1
    return ShapeBatches(order, batch, np.bincount(batch), ordered)


class SizedBatch(NamedTuple):
    """Images of one shape at several sizes; or images that can't be read."""

    places: np.ndarray  # int64 (b,), which images; none where some can't be read
    keys: np.ndarray  # uint64 (b, 2), `content_keys.content_key` of each
    pixels: tuple  # a float32 tensor (b, height, width, 3) in [0, 255] for each size
    failures: dict  # place to reason, a line that names the file


def sized_batches(views, places, sizes, batch_pixels):
    """Decodes images once, and gives them at several sizes, those of one shape together.

    Args:
        views: `Views`.
        places: int `(n,)`, which of them.
        sizes: Sequence of `describing.sizes`.
        batch_pixels: See `batch_by_shape`.

    Yields:
        `SizedBatch`. Where images can't be read, or aren't of the size that their header has, one
        that names them; the others of their batch follow.
    """
    while len(places):
        sides = views.shapes[places].T
        shapes = [np.stack(size.planned_size(*sides), axis=1) for size in sizes]
        plan = batch_by_shape(np.stack(shapes, axis=1), batch_pixels)
        plan = plan._replace(order=places[plan.order])
        batches = iter(description_batches(views, plan, [size.kernel for size in sizes]))
        places = plan.order
        for count in plan.sizes:
            try:
                indices, keys, pixels = next(batches)
            except tf.errors.OpError:
                # Batches come in the order of the plan, so the bad image is in this one.
                failures = _failures(views, places[:count])
                if not failures:
                    raise
                places = places[~np.isin(places, list(failures))]
                yield SizedBatch(np.empty(0, np.int64), np.empty((0, 2), np.uint64), (), failures)
                break
            places = places[count:]
            keys = np.frombuffer(b"".join(keys.numpy()), "<u8").reshape(-1, 2)
            yield SizedBatch(indices.numpy(), keys, pixels, {})


def _failures(views, places):
    reasons = {int(p): decoding_failure(views.paths[p], views.stored(p)) for p in places}
    return {place: reason for place, reason in reasons.items() if reason}


def description_batches(views, plan, kernels):
    """Images decoded once, upright, cropped, turned, resized to each size, and batched by shape.

    A dataset of `(places (b,), content_key (b,), pixels)` in the order of a `ShapeBatches`, with
    pixels as of `SizedBatch`, each size resized by its own of `choices.KERNELS`. No step holds more
    than a few batches. An image that decodes to another size than its header has is an error of its
    batch.
    """
    boxes, shapes = views.decoded()
    columns = {
        "shape": shapes,
        "box": boxes,
        "turns": views.turns,
        "ratio": views.ratios,
        "orientation": views.orientations,
    }
    rows = {
        name: np.asarray(column[plan.order], np.int32)
        for name, column in columns.items()
        if column is not None
    }
    rows["path"] = np.array([os.fsencode(views.paths[place]) for place in plan.order], object)
    rows["sizes"] = plan.shapes.astype(np.int32)
    kernels, batch_sizes = tuple(kernels), tf.constant(plan.sizes)
    batch_of = np.zeros(len(views.paths), np.int64)
    batch_of[plan.order] = plan.batch
    batch_of = tf.constant(batch_of)

    @AS_WRITTEN
    def load(place, row):
        return place, *_load(row, kernels)

    images = tf.data.Dataset.from_tensor_slices((plan.order, rows))
    images = images.map(load, num_parallel_calls=CORES, deterministic=True)
    # Images of one batch follow one another, so that only one window is open at a time.
    batches = images.group_by_window(
        key_func=AS_WRITTEN(lambda place, *_: batch_of[place]),
        reduce_func=AS_WRITTEN(lambda _, window: window.batch(int(plan.sizes.max()))),
        window_size_func=AS_WRITTEN(lambda batch: batch_sizes[batch]),
    )
    return untuned(batches.prefetch(2))


# Traced once for all lists of images of which the same is known: a trace takes longer than to
# describe a few images.
@tf.function(autograph=False)
def _load(row, kernels):
    """The content key of an image, and its pixels at each size; `row` has what is to be done."""
    data = tf.io.read_file(row["path"])
    image = decode_scaled(data, row["ratio"]) if "ratio" in row else decode_image(data)
    for name, change in (("orientation", turn_upright), ("box", crop), ("turns", turn)):
        if name in row:
            image = change(image, row[name])
    tf.debugging.assert_equal(tf.shape(image)[:2], row["shape"])
    key = tf.numpy_function(content_key, [data], tf.string, stateful=False)
    sizes = zip(tf.unstack(row["sizes"], len(kernels)), kernels, strict=True)
    return key, tuple(resize(image, *tf.unstack(to), how) for to, how in sizes)


def untuned(dataset):
    """Without TensorFlow's tuner of parallelism.

    Whoever drops an iterator waits for the tuner's thread, which at times misses that it is told to
    end, and sleeps on: seconds in a short pass, up to a minute in a long one.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
