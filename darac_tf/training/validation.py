"""Validation: retrieval among images of classes that are not trained on."""

from darac_tf.evaluation.extraction import Extractor
from darac_tf.evaluation.ranking import RankingSettings, rank
from darac_tf.evaluation.task import labelled_task
from darac_tf.evaluation.vectors import Vectors


class Validator:
    """Leave-one-out retrieval among held-out images, at the training resolution.

    Args:
        model: The descriptor, whose weights change between calls.
        images: `LabelledImages`.
        config: `TrainConfig`.
    """

    METRIC = "mAP (plain)"

    def __init__(self, model, images, config):
        self._task = labelled_task(images)
        self._long_side = config.image_size
        self._extractor = Extractor(
            lambda pixels: {"": model(pixels, training=False)},
            self._task.images,
            batch_pixels=config.val_batch_pixels,
            progress=False,
        )

    def scores(self):
        """Dictionary of metric name to mean score in [0, 1]."""
        descriptors = self._extractor.extract(self._long_side)[""]
        vectors, usable = Vectors([descriptors]), self._extractor.usable
        rankings = rank(vectors, self._task, RankingSettings(), usable)
        return self._task.score(rankings.rows).means
