"""The tf.data pipeline of description: images decoded once, batched by shape."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from darac_tf.data.images import crop, decode_image, decode_scaled, decoding_failure, resize, turn
from darac_tf.threads import CORES

# Most images that are described together.
MAX_BATCH = 64


class ShapeBatches(NamedTuple):
    """The order in which images are described, so that those of one shape are together.

    Attributes:
        order: int64 `(images,)`, image indices in that order.
        batch: int64 `(images,)`, number of the batch that each place of the order belongs to.
        sizes: int64 `(batches,)`, images in each batch.
        shapes: int `(images, sizes, 2)`, heights and widths after the resizes, in that order.
    """

    order: np.ndarray
    batch: np.ndarray
    sizes: np.ndarray
    shapes: np.ndarray


def batch_by_shape(shapes, batch_pixels):
    """Groups images by their shapes after the resizes, so that batches fill without padding.

    Args:
        shapes: int `(images, sizes, 2)` heights and widths after the resize to each size.
        batch_pixels: Most pixels in a batch, over all sizes; one image is always taken.

    Returns:
        `ShapeBatches`.
    """
    flat = shapes.reshape(len(shapes), -1)
    order = np.lexsort(flat.T[::-1])
    ordered = shapes[order]
    _, first, counts = np.unique(flat[order], axis=0, return_index=True, return_counts=True)
    pixels = ordered.prod(axis=2).sum(axis=1)
    capacity = np.clip(batch_pixels // pixels, 1, MAX_BATCH)
    place = np.arange(len(order)) - np.repeat(first, counts)
    starts = place % capacity == 0
    batch = np.cumsum(starts) - 1
    return ShapeBatches(order, batch, np.bincount(batch), ordered)


class SizedBatch(NamedTuple):
    """Images of one shape at several sizes; or images that can't be read.

    Attributes:
        places: int64 `(b,)`, which images; none where some can't be read.
        pixels: A float32 tensor `(b, height, width, 3)` in [0, 255] for each size.
        failures: Dictionary of place to reason, a line that names the file.
    """

    places: np.ndarray
    pixels: tuple
    failures: dict


def sized_batches(views, places, sizes, batch_pixels):
    """Decodes images once, and gives them at several sizes, those of one shape together.

    Args:
        views: `Views`.
        places: int `(n,)`, which of the images.
        sizes: Sequence of `sizes.LongSide` and `sizes.Factor`.
        batch_pixels: Most pixels in a batch, over all sizes; one image is always taken.

    Yields:
        `SizedBatch`. Where images can't be read, or aren't of the size that their header has, one
        that names them; the others of their batch follow.
    """
    while len(places):
        sides = views.shapes[places].T
        shapes = [np.stack(size.planned_size(*sides), axis=1) for size in sizes]
        plan = batch_by_shape(np.stack(shapes, axis=1), batch_pixels)
        plan = plan._replace(order=places[plan.order])
        batches = iter(description_batches(views, plan))
        places = places[:0]
        for start, count in zip(np.cumsum(plan.sizes) - plan.sizes, plan.sizes, strict=True):
            try:
                indices, pixels = next(batches)
            except tf.errors.OpError:
                # Batches come in the order of the plan, so the bad image is in this one.
                failures = _failures(views, plan.order[start : start + count])
                if not failures:
                    raise
                places = plan.order[start:]
                places = places[~np.isin(places, list(failures))]
                yield SizedBatch(np.empty(0, np.int64), (), failures)
                break
            yield SizedBatch(indices.numpy(), pixels, {})


def _failures(views, places):
    reasons = {int(p): decoding_failure(views.paths[p], views.stored[p]) for p in places}
    return {place: reason for place, reason in reasons.items() if reason}


def description_batches(views, plan):
    """Images that are decoded once, cropped, turned, and resized to each size, batched by shape.

    No step holds more than a few batches.

    Args:
        views: `Views` of them.
        plan: `ShapeBatches`, whose order may leave images out.

    Returns:
        Dataset of `(places (b,), pixels)` in the order of the plan, where pixels is a tuple of
        float32 `(b, height, width, 3)` in [0, 255], one for each size. An image that decodes to
        another size than its header has is an error of its batch.
    """
    boxes, shapes = views.decoded()
    all_paths, batch_sizes = tf.constant(views.paths), tf.constant(plan.sizes)
    boxes = None if boxes is None else tf.constant(boxes)
    shapes = tf.constant(shapes, tf.int32)
    turns = None if views.turns is None else tf.constant(views.turns, tf.int32)
    ratios = None if views.ratios is None else tf.constant(views.ratios, tf.int32)

    def load(index, batch, targets):
        data = tf.io.read_file(all_paths[index])
        image = decode_image(data) if ratios is None else decode_scaled(data, ratios[index])
        if boxes is not None:
            image = crop(image, boxes[index])
        if turns is not None:
            image = turn(image, turns[index])
        as_announced = tf.debugging.assert_equal(tf.shape(image)[:2], shapes[index])
        with tf.control_dependencies([as_announced]):
            image = tf.identity(image)
        targets = tf.unstack(targets, plan.shapes.shape[1])
        return batch, index, tuple(resize(image, *tf.unstack(each)) for each in targets)

    def drop_key(batch, index, pixels):
        del batch
        return index, pixels

    in_order = tf.data.Dataset.from_tensor_slices(
        (plan.order, plan.batch, plan.shapes.astype(np.int32))
    )
    loaded = in_order.map(load, num_parallel_calls=CORES, deterministic=True)
    # Images of one batch follow one another, so that only one window is open at a time.
    batches = loaded.group_by_window(
        key_func=lambda batch, *_: batch,
        reduce_func=lambda _, window: window.map(drop_key).batch(int(plan.sizes.max())),
        window_size_func=lambda batch: batch_sizes[batch],
    )
    return untuned(batches.prefetch(2))


def untuned(dataset):
    """Without TensorFlow's tuner of parallelism.

    Whoever drops an iterator waits for the tuner's thread, which at times misses that it is told to
    end, and sleeps on: seconds in a short pass, up to a minute in a long one.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
