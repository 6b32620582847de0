"""Writing one SavedModel with all of it inside: decoding, resizes, network, pooling, whitening."""

import tensorflow as tf

from darac_tf.engines.inference_copy import fused_copy
from darac_tf.export.image_describer import ImageDescriber
from darac_tf.export.settings import ExportSettings
from darac_tf.files import atomic_path
from darac_tf.models.folding import fold_batch_norm


def export_saved_model(
    model, folder, resolutions, whitening=None, combination="sum", exponent=None, **options
):
    """Writes a SavedModel that needs neither darac_tf nor Keras to load.

    Its signatures:

    - `serving_default`: `image_bytes` (string, `(batch,)`: JPEG, PNG, GIF, BMP or WebP without
      animation) to `descriptor` (float32, `(batch, dimension)`). A bad image fails the request
      with an InvalidArgumentError.
    - `robust`: the same with `valid` (bool, `(batch,)`): a bad image gets zeros and False.
    - `pixels`: `pixels` (uint8, `(batch, height, width, 3)`) to `descriptor`.

    Args:
        model: Descriptor.
        folder: Where to write; it must not exist yet.
        resolutions: See `ExportSettings`, as for the rest.
        whitening: `Whitening` of these resolutions, or None.
        combination: How resolutions are combined.
        exponent: Of the generalised mean.
        **options: `precision` and `max_pixels`.

    Returns:
        The dimension of the exported descriptors.

    Raises:
        UserError: If the folder exists, or whitening or precision do not fit.
    """
    settings = ExportSettings(tuple(resolutions), whitening, combination, exponent, **options)
    with atomic_path(folder) as temporary:
        dimension, _ = write_saved_model(model, temporary, settings)
    return dimension


def write_saved_model(model, folder, settings):
    """Writes the SavedModel of `export_saved_model` to a folder that does not exist.

    Args:
        model: Descriptor. In the export its batch normalisation is folded, and what is left fused.
        folder: Where to write.
        settings: `ExportSettings`.

    Returns:
        Tuple of the dimension and the `Folding`.

    Raises:
        UserError: If whitening or precision do not fit.
    """
    folded, folding = fold_batch_norm(model)
    describer = ImageDescriber(fused_copy(folded), settings)
    tf.saved_model.save(describer, str(folder), signatures=describer.signatures())
    return describer.dimension, folding
