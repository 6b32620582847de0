"""The network of an export: its weights as stored, and passes of bounded size through it.

Weights are arguments of what computes, so that they are read and widened once a request. Nothing of
the Keras model itself is saved.
"""

import numpy as np
import tensorflow as tf

from darac_tf.describing.combination import combine_tensors, whitening_layer
from darac_tf.errors import UserError

# Pixels that pass through the network together: about 25 images at 299, two at 1020. Twice as many
# are hardly faster on a processor, and feature maps take some 250 bytes a pixel.
BATCH_PIXELS = 2_000_000
_MAX_IMAGES = 64


class StoredNetwork(tf.Module):
    """A descriptor whose weights are stored in one precision and widened for what computes.

    Weights stay variables: all signatures share one copy, where constants would be copied into the
    graph of each, which also ends at two gigabytes. Only kernels are stored in `precision`; vectors
    (biases, what is left of batch normalisation, region weights) take no space to speak of. What
    the model itself has in 16 bits stays as it is.
    """

    def __init__(self, model, precision="float32"):
        super().__init__(name="network")
        self.dimension = model.output_shape[-1]
        groups = model.trainable_variables, model.non_trainable_variables
        self.trained, self.fixed = ([_stored(v, precision) for v in group] for group in groups)
        specs = [[tf.TensorSpec(v.shape, v.dtype) for v in group] for group in groups]
        self._dtypes = [[spec.dtype for spec in group] for group in specs]

        def describe(pixels, trained, fixed):
            vectors, _ = model.stateless_call(trained, fixed, pixels, training=False)
            return vectors

        pixels = tf.TensorSpec([None, None, None, 3], tf.float32)
        self._describe = traced_once(describe, [pixels, *specs])

    def weights(self):
        """The weights as `__call__` takes them."""
        stored = self.trained, self.fixed
        return [list(map(tf.cast, *pair)) for pair in zip(stored, self._dtypes, strict=True)]

    def __call__(self, pixels, weights, batch_pixels=BATCH_PIXELS):
        """float32 `(images, height, width, 3)` in [0, 255] to unit vectors `(images, dimension)`.

        A pass through the network takes at most `batch_pixels` pixels, and one image at least.
        """
        shape = tf.shape(pixels, out_type=tf.int64)
        step = window_capacity(shape[1] * shape[2], batch_pixels)

        def one_pass(start):
            return self._describe(pixels[start : start + step], *weights)

        return in_steps(tf.cast(shape[0], tf.int32), step, one_pass, self.dimension)


class Describer(tf.Module):
    """From pixels at each size to the vectors that are compared.

    Args:
        model: Descriptor.
        settings: `ExportSettings`.

    Raises:
        UserError: If a weight does not fit into the precision, or the whitening is for descriptors
            of another length.
    """

    def __init__(self, model, settings):
        super().__init__(name="describer")
        self.network = StoredNetwork(model, settings.precision)
        self.dimension = self.network.dimension
        self._combination = (settings.combination, settings.exponent)
        self._whiten, self.whitening = None, []
        if settings.whitening is not None:
            layer = whitening_layer(settings.whitening, self.dimension)
            self.dimension = layer.units
            # The loader of TensorFlow Serving does not restore the variables of a Keras layer.
            self.whitening = [_stored(v, "float32") for v in layer.non_trainable_variables]
            self._whiten = lambda vectors, fixed: layer.stateless_call([], fixed, vectors)[0]

    def weights(self):
        """The weights as `__call__` takes them."""
        return self.network.weights(), list(map(tf.convert_to_tensor, self.whitening))

    def __call__(self, sized_pixels, weights):
        """Pixels as `StoredNetwork` takes them, at each size, to `(images, dimension)`."""
        of_network, of_whitening = weights
        described = [self.network(pixels, of_network) for pixels in sized_pixels]
        vectors = combine_tensors(described, *self._combination)
        return vectors if self._whiten is None else self._whiten(vectors, of_whitening)


def traced_once(function, specs):
    """A function of tensors like `specs`, traced when it is first called.

    `tf.saved_model.save` traces each `tf.function` that is an attribute of a module once more, and
    stores it by itself. This is none to it.
    """
    traced = tf.function(function, specs, autograph=False)
    return lambda *tensors: traced(*tensors)


def in_steps(count, step, describe, dimension):
    """float32 `(count, dimension)` vectors of images that are described `step` at a time.

    `describe` is a function of the first image's place to float32 `(images, dimension)`.
    """
    _, vectors = tf.while_loop(
        lambda start, _: start < count,
        lambda start, before: (start + step, tf.concat([before, describe(start)], axis=0)),
        (0, tf.zeros([0, dimension])),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, dimension])),
        parallel_iterations=1,
    )
    return vectors


def window_capacity(pixels, limit):
    """int32, how many images of so many pixels stay below a limit; at least 1."""
    return tf.cast(tf.clip_by_value(limit // tf.maximum(pixels, 1), 1, _MAX_IMAGES), tf.int32)


def _stored(weight, precision):
    values = tf.convert_to_tensor(weight)
    is_kernel = values.dtype == tf.float32 and len(values.shape) > 1
    dtype = tf.dtypes.as_dtype(precision) if is_kernel else values.dtype
    stored = tf.cast(values, dtype)
    if not np.isfinite(tf.cast(stored, tf.float64)).all():
        raise UserError(
            f"--precision={precision}: a weight of {weight.path} is {np.abs(values).max():g}, "
            "which does not fit; take bfloat16, or check the weights of the model"
        )
    return tf.Variable(stored, trainable=False, name=weight.path.replace("/", "."))
