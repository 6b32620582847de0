"""Validation: retrieval among images of classes that are not trained on."""

import numpy as np

from darac_tf.evaluation.extraction import Extractor
from darac_tf.evaluation.labelled import leave_one_out


class Validator:
    """Leave-one-out retrieval among held-out images, at the training resolution.

    Args:
        model: The descriptor, whose weights change between calls.
        images: `LabelledImages`.
        config: `TrainConfig`.
    """

    METRIC = "mAP (plain)"

    def __init__(self, model, images, config):
        self._images = images
        self._long_side = config.image_size
        self._extractor = Extractor(
            lambda pixels: {"": model(pixels, training=False)},
            images.paths,
            batch_pixels=config.val_batch_pixels,
            progress=False,
        )

    def scores(self):
        """Dictionary of metric name to mean score in [0, 1]."""
        descriptors = self._extractor.extract(self._long_side)[""]
        return leave_one_out(np.asarray(descriptors), self._images.labels).means
