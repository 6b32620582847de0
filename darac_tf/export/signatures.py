"""The signatures of an export: image bytes or pixels to descriptors, in stock TensorFlow ops."""

import functools

import tensorflow as tf

from darac_tf.data.headers import KINDS
from darac_tf.errors import UserError
from darac_tf.export.decoding import decode_and_resize, read_headers
from darac_tf.export.network import Describer, in_steps, traced_once, window_capacity

# Pixels of resized images that are held at a time, 12 bytes each; one image is always taken.
HELD_PIXELS = 16_000_000

_WHERE = "their places in the request, from 0:"
_UNREADABLE = f"images that cannot be decoded as {KINDS}; {_WHERE}"
_FILES = tf.TensorSpec([None], tf.string)


class ImageDescriber(tf.Module):
    """Describes images as an export does, whose functions `signatures` gives; see `Describer`."""

    def __init__(self, model, settings):
        super().__init__(name="image_describer")
        self._sizes = settings.resolutions
        self._max_pixels = settings.max_pixels
        is_upright = settings.orientation == "upright"
        # For whoever loads it: how large images may be, and how they are taken.
        self.max_pixels = tf.Variable(self._max_pixels, False, dtype=tf.int64)
        self.is_upright = tf.Variable(is_upright, False)
        self.is_bfloat16 = tf.Variable(settings.compute == "bfloat16", False)
        self._describer = Describer(model, settings)
        self.dimension = self._describer.dimension
        # Traced and stored once, for both signatures of files.
        self._read_headers = _header_reader(self._max_pixels, is_upright)
        rows, must_decode = tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.bool)
        headers = tf.TensorSpec([None, 4], tf.int64)
        self._describe_rows = traced_once(
            self._describe_in_windows, [_FILES, headers, rows, must_decode]
        )

    def signatures(self):
        """Dictionary of signature name to function, for `tf.saved_model.save`."""
        image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
        pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")

        def traced(call, spec):
            return tf.function(call, [spec], autograph=False).get_concrete_function()

        return {
            "serving_default": traced(self._serving_default, image_bytes),
            "robust": traced(self._robust, image_bytes),
            "pixels": traced(self._pixels, pixels),
        }

    def _serving_default(self, image_bytes):
        """`(batch,)` strings to `descriptor` `(batch, dimension)`; fails for a bad image."""
        headers = self._read_headers(image_bytes)
        is_image, is_small = self._judge(headers)
        limit = f"images of more than {self._max_pixels} pixels (--max_pixels of the export)"
        checks = [(is_image, _UNREADABLE), (is_small | ~is_image, f"{limit}; {_WHERE}")]
        with tf.control_dependencies([_all_of(*check) for check in checks]):
            rows = tf.range(tf.size(image_bytes))
        vectors, _ = self._describe_rows(image_bytes, headers, rows, True)
        return {"descriptor": vectors}

    def _robust(self, image_bytes):
        """`(batch,)` strings to `descriptor` and `valid` `(batch,)`; zeros for a bad image."""
        headers = self._read_headers(image_bytes)
        is_image, is_small = self._judge(headers)
        rows = tf.cast(tf.where(is_image & is_small)[:, 0], tf.int32)
        vectors, valid = self._describe_rows(image_bytes, headers, rows, False)
        return {"descriptor": vectors, "valid": valid}

    def _pixels(self, pixels):
        """uint8 `(batch, height, width, 3)` to `descriptor` `(batch, dimension)`."""
        shape = tf.shape(pixels, out_type=tf.int64)
        header = tf.stack([shape[1], shape[2], shape[1] * shape[2]])[tf.newaxis]
        is_image, is_small = self._judge(header)
        problem = f"images must have between 1 and {self._max_pixels} pixels; they have the shape"
        checked = tf.debugging.Assert((is_image & is_small)[0], [problem, shape])
        with tf.control_dependencies([checked]):
            weights = self._describer.weights()
        sides = [size.planned_size(shape[1], shape[2]) for size in self._sizes]
        held = tf.add_n([height * width for height, width in sides]) + shape[1] * shape[2]
        step = window_capacity(held, HELD_PIXELS)

        def one_window(start):
            window = pixels[start : start + step]
            return self._describer([size.resize(window) for size in self._sizes], weights)

        vectors = in_steps(tf.shape(pixels)[0], step, one_window, self.dimension)
        return {"descriptor": vectors}

    def _judge(self, headers):
        """Two bool `(images,)`: whether there is a size, and whether it is within the limit."""
        # Sizes are planned by a division, which zeros of bad images would fail.
        shapes = resized_shapes(tf.maximum(headers, 1), self._sizes)
        largest = tf.reduce_max(tf.reduce_prod(shapes, axis=2), axis=1)
        is_small = tf.maximum(headers[:, 2], largest) <= self._max_pixels
        return tf.reduce_all(headers > 0, axis=1), is_small

    def _describe_in_windows(self, image_bytes, headers, rows, must_decode):
        """Vectors `(batch, dimension)` of some images, zeros for the rest, and bool `(batch,)`."""
        shapes = resized_shapes(tf.gather(headers, rows), self._sizes)
        order, starts, stops = plan_windows(shapes)
        weights = self._describer.weights()

        def one_window(window, vectors, valid):
            wanted = tf.gather(rows, order[starts[window] : stops[window]])
            found, pixels = decode_and_resize(image_bytes, headers, wanted, self._sizes)
            is_found = tf.reduce_any(wanted[:, tf.newaxis] == found, axis=1)
            with tf.control_dependencies([_all_of(is_found | ~must_decode, _UNREADABLE, wanted)]):
                found = tf.identity(found)
            place = found[:, tf.newaxis]
            described = self._describer(pixels, weights)
            return (
                window + 1,
                tf.tensor_scatter_nd_update(vectors, place, described),
                tf.tensor_scatter_nd_update(valid, place, tf.ones_like(found, tf.bool)),
            )

        count = tf.size(image_bytes)
        nothing = (tf.zeros(tf.stack([count, self.dimension])), tf.zeros([count], tf.bool))
        _, vectors, valid = tf.while_loop(
            lambda window, *_: window < tf.size(starts),
            one_window,
            (0, *nothing),
            parallel_iterations=1,
        )
        return tf.ensure_shape(vectors, [None, self.dimension]), valid


@functools.cache
def _header_reader(max_pixels, is_upright):
    """`read_headers`, traced once for all exports of a process: a third of the time of one."""
    return traced_once(lambda data: read_headers(data, max_pixels, is_upright), [_FILES])


def resized_shapes(headers, sizes):
    """int64 `(images, sizes, 2)` heights and widths after the resizes."""
    planned = [size.planned_size(headers[:, 0], headers[:, 1]) for size in sizes]
    return tf.stack([tf.stack(shape, axis=1) for shape in planned], axis=1)


def plan_windows(shapes, held_pixels=HELD_PIXELS):
    """Puts images of equal shapes together, as many as may be held at a time.

    Of int64 `(images, sizes, 2)` of `resized_shapes`, and the most pixels of a window over all
    sizes. Tuple of int32: the images' numbers in the order in which they are described,
    `(images,)`, and where in it each window begins and ends (not included), `(windows,)` both.
    """
    count = tf.shape(shapes)[0]
    flat = tf.reshape(shapes, [count, 2 * shapes.shape[1]])
    group = tf.raw_ops.UniqueV2(x=flat, axis=[0]).idx  # the same number for equal shapes
    order = tf.argsort(group, stable=True)
    group = tf.gather(group, order)
    # The first place of a group is the number of images in the groups before it.
    place = tf.range(count) - tf.searchsorted(group, group, side="left")
    pixels = tf.reduce_sum(tf.reduce_prod(tf.gather(shapes, order), axis=2), axis=1)
    capacity = window_capacity(pixels, held_pixels)
    starts = tf.cast(tf.where(place % capacity == 0)[:, 0], tf.int32)
    return order, starts, tf.concat([starts[1:], [count]], axis=0)[: tf.size(starts)]


def _all_of(conditions, message, rows=None):
    """Op that fails with a message and the first places where a bool vector is False."""
    places = tf.cast(tf.where(~conditions)[:, 0], tf.int32)
    places = places if rows is None else tf.gather(rows, places)
    return tf.debugging.Assert(tf.reduce_all(conditions), [message, places], summarize=10)


def check_whitening(settings):
    """`UserError` if that of `ExportSettings` was fitted at other sizes, or on turned images."""
    whitening, wanted = settings.whitening, list(map(str, settings.resolutions))
    fitted_at = whitening.provenance.get("resolutions")
    if fitted_at is not None and list(map(str, fitted_at)) != wanted:
        raise UserError(
            f"--whitening was fitted at the resolutions {','.join(map(str, fitted_at))}, and the "
            f"export is for {','.join(wanted)}: give the same --resolutions, or fit it again"
        )
    whitening.check_orientation(settings.orientation)
