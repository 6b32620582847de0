"""One SavedModel with all of it inside: decoding, resizes, network, pooling, whitening."""

import numpy as np
import tensorflow as tf

from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.errors import UserError
from darac_tf.evaluation.combine import combine_resolutions, whitening_layer
from darac_tf.files import atomic_path


class ImageDescriber(tf.Module):
    """From image bytes to descriptors, in stock TensorFlow ops.

    Args:
        model: Descriptor (`models.build_descriptor`).
        resolutions: Long sides in pixels, whose descriptors are summed.
        whitening: `evaluation.whitening.Whitening` of these resolutions, or None.

    Raises:
        UserError: If the whitening is for descriptors of another length.
    """

    def __init__(self, model, resolutions, whitening=None):
        super().__init__()
        self._model = model
        self._resolutions = tuple(resolutions)
        self._whitening = None
        self.dimension = model.output_shape[-1]
        if whitening is not None:
            self.dimension, expected = whitening.projection.shape
            if expected != model.output_shape[-1]:
                raise UserError(
                    f"--whitening is for descriptors of {expected} dimensions, and the model's "
                    f"have {model.output_shape[-1]}"
                )
            self._whitening = whitening_layer(whitening)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def describe(self, image_bytes):
        """`image_bytes` `(batch,)` to `{"descriptor": float32 (batch, dimension)}`.

        Images of one batch may differ in size, so they pass the network one by one.
        """
        spec = tf.TensorSpec([self._model.output_shape[-1]], tf.float32)
        vectors = tf.map_fn(self._describe_one, image_bytes, fn_output_signature=spec)
        if self._whitening is not None:
            vectors = self._whitening(vectors)
        return {"descriptor": vectors}

    def _describe_one(self, data):
        image = decode_image(data)
        described = [
            self._model(resize_long_side(image, side)[tf.newaxis], training=False)
            for side in self._resolutions
        ]
        return combine_resolutions(described)[0]


def export_saved_model(model, folder, resolutions, whitening=None):
    """Writes a SavedModel that needs neither darac_tf nor Keras to load.

    Its signature `serving_default` maps `image_bytes` (string, `(batch,)`: JPEG, PNG, GIF or BMP)
    to `descriptor` (float32, `(batch, dimension)`).

    Args:
        model: Descriptor.
        folder: Where to write; it must not exist yet.
        resolutions: Long sides in pixels, whose descriptors are summed.
        whitening: `Whitening` of these resolutions, or None.

    Returns:
        The dimension of the exported descriptors.

    Raises:
        UserError: If the folder exists, or the whitening does not fit.
    """
    describer = ImageDescriber(model, resolutions, whitening)
    with atomic_path(folder) as temporary:
        tf.saved_model.save(
            describer, str(temporary), signatures={"serving_default": describer.describe}
        )
    return describer.dimension


def verify_saved_model(folder, paths, expected):
    """Compares a SavedModel with descriptors computed by the evaluation.

    Args:
        folder: SavedModel.
        paths: Image files.
        expected: `(images, dimension)` descriptors of them.

    Returns:
        The largest absolute difference of any component.
    """
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    worst = 0.0
    for path, vector in zip(paths, expected, strict=True):
        found = served(image_bytes=tf.io.read_file(str(path))[tf.newaxis])["descriptor"][0]
        worst = max(worst, float(np.abs(found - vector).max()))
    return worst
