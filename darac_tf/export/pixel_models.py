"""What exports for other runtimes share: one graph from pixels to vectors, and who decodes for it.

Such a runtime decodes no files, so that whoever runs it gives pixels: uint8 `(batch, height, width,
3)`, RGB, upright or as stored. Resizes, all sizes, combination, whitening and L2 are inside.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from darac_tf.data.exif import turn_upright
from darac_tf.data.images import decode_in_graph
from darac_tf.describing.combination import combine_tensors, whitening_layer
from darac_tf.engines.inference_copy import fused_copy
from darac_tf.export.decoding import read_headers

# The scope of combination and whitening, by which a converter knows them.
HEAD = "darac_head"


def frozen_graph(model, settings, resize):
    """A descriptor with all that `ExportSettings` ask for, its weights constants.

    `resize` is a function of a size and pixels `(batch, height, width, 3)` to float32 pixels of
    that size, in operations that the runtime knows. Returns a function of one uint8 tensor, the
    length of its vectors, and the `Folding`; `UserError` if the whitening is for other descriptors.
    """
    network, folding = fused_copy(model)
    whiten = None
    dimension = network.output_shape[-1]
    if settings.whitening is not None:
        whiten = whitening_layer(settings.whitening, dimension)
        dimension = whiten.units

    def describe(pixels):
        parts = [network(resize(size, pixels), training=False) for size in settings.resolutions]
        with tf.name_scope(HEAD):
            vectors = combine_tensors(parts, settings.combination, settings.exponent)
            return vectors if whiten is None else whiten(vectors)

    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
    traced = tf.function(describe, [pixels], autograph=False).get_concrete_function()
    return convert_variables_to_constants_v2(traced), dimension, folding


class PixelModel:
    """Describes the contents of image files that an export takes, with what describes pixels.

    Attributes:
        is_upright: Whether images are turned upright by their Exif orientation.
        max_pixels: It takes images of no more.
        dimension: Of the vectors.
    """

    def __init__(self, describe, dimension, orientation, max_pixels):
        self._describe = describe
        self.dimension, self.max_pixels = dimension, max_pixels
        self.is_upright = orientation == "upright"

    def __call__(self, data):
        """Tuple of float32 `(images, dimension)`, zeros for bad images, and bool `(images,)`."""
        headers = read_headers(tf.constant(data, tf.string), self.max_pixels, self.is_upright)
        headers = headers.numpy()
        is_image = (headers > 0).all(axis=1) & (headers[:, 2] <= self.max_pixels)
        vectors = np.zeros((len(data), self.dimension), np.float32)
        valid = np.zeros(len(data), bool)
        for place in np.flatnonzero(is_image):
            try:
                image = turn_upright(decode_in_graph(data[place]), headers[place, 3])
            except tf.errors.OpError:
                continue
            if image.shape[:2] == tuple(headers[place, :2]):
                vectors[place] = self._describe(image.numpy()[np.newaxis])[0]
                valid[place] = True
        return vectors, valid
