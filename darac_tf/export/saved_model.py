"""One SavedModel with all of it inside: decoding, resizes, network, pooling, whitening."""

import tensorflow as tf

from darac_tf.data.images import decode_image
from darac_tf.errors import UserError
from darac_tf.evaluation.combine import combine_resolutions, whitening_layer
from darac_tf.evaluation.sizes import as_size
from darac_tf.files import atomic_path


class ImageDescriber(tf.Module):
    """From image bytes to descriptors, in stock TensorFlow ops.

    Args:
        model: Descriptor (`models.build_descriptor`).
        resolutions: What is combined: `sizes.LongSide`, `sizes.Factor`, or integers for long sides
            in pixels.
        whitening: `evaluation.whitening.Whitening` of these resolutions, or None.
        combination: How, see `combine_resolutions`.
        exponent: See `combine_resolutions`.

    Raises:
        UserError: If the whitening is for descriptors of another length or other resolutions.
    """

    def __init__(self, model, resolutions, whitening=None, combination="sum", exponent=None):
        super().__init__()
        self._model = model
        self._sizes = tuple(map(as_size, resolutions))
        self._combination = (combination, exponent)
        self._whitening = None
        self.dimension = model.output_shape[-1]
        if whitening is not None:
            _check_resolutions(whitening, self._sizes)
            self._whitening = whitening_layer(whitening, self.dimension)
            self.dimension = whitening.projection.shape[0]

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
            self._model(size.resize(image)[tf.newaxis], training=False) for size in self._sizes
        ]
        return combine_resolutions(described, *self._combination)[0]


def _check_resolutions(whitening, sizes):
    fitted_at, wanted = whitening.provenance.get("resolutions"), list(map(str, sizes))
    if fitted_at is not None and list(map(str, fitted_at)) != wanted:
        raise UserError(
            f"--whitening was fitted at the resolutions {','.join(map(str, fitted_at))}, and the "
            f"export is for {','.join(wanted)}: give the same --resolutions, or fit it again"
        )


def export_saved_model(
    model, folder, resolutions, whitening=None, combination="sum", exponent=None
):
    """Writes a SavedModel that needs neither darac_tf nor Keras to load.

    Its signature `serving_default` maps `image_bytes` (string, `(batch,)`: JPEG, PNG, GIF or BMP)
    to `descriptor` (float32, `(batch, dimension)`).

    Args:
        model: Descriptor.
        folder: Where to write; it must not exist yet.
        resolutions: See `ImageDescriber`, as for the rest.
        whitening: `Whitening` of these resolutions, or None.
        combination: How resolutions are combined.
        exponent: Of the generalised mean.

    Returns:
        The dimension of the exported descriptors.

    Raises:
        UserError: If the folder exists, or the whitening does not fit.
    """
    describer = ImageDescriber(model, resolutions, whitening, combination, exponent)
    with atomic_path(folder) as temporary:
        tf.saved_model.save(
            describer, str(temporary), signatures={"serving_default": describer.describe}
        )
    return describer.dimension
