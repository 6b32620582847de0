"""Validation: retrieval among images of classes that are not trained on."""

import numpy as np
from absl import logging

from darac_tf.data.content_keys import repetitions
from darac_tf.describing.extraction import extract_features
from darac_tf.engines import as_engine
from darac_tf.evaluation.task import labelled_task
from darac_tf.ranking.rank import RankingSettings, rank
from darac_tf.reports.pictures import draw_rankings
from darac_tf.reports.query_rows import pick_queries, query_rows

_PICTURED_QUERIES, _PICTURED_RANKS = 6, 6


class Validator:
    """Leave-one-out retrieval among held-out `LabelledImages`, at the training resolution.

    The weights of the `model`, the descriptor, change between calls. `descriptors`, float32
    `(images, dim)`, are those of the last call of `scores`, of the same `images`.
    """

    METRIC = "mAP (plain)"

    def __init__(self, model, images, config):
        self.images = images
        self.descriptors = None
        self._task = labelled_task(images)
        self._config = config
        self._describe = as_engine(lambda pixels: {"": model(pixels, training=False)})
        self._rankings = self._ap = None

    def scores(self):
        """Dictionary of metric name to mean score in [0, 1]."""
        size, options = self._config.image_size, {"batch_pixels": self._config.val_batch_pixels}
        images = self._task.images
        features = extract_features(self._describe, images, [size], progress=False, **options)
        if self.descriptors is None:
            for note in repetitions(features.keys, images.paths, self._task.labels):
                logging.warning("validation: %s", note)
        self.descriptors = features[size][""]
        self._rankings = rank(features.vectors(""), self._task, RankingSettings(), features.usable)
        scores = self._task.score(self._rankings.rows)
        self._ap = np.asarray(scores.per_query["ap"], np.float64)
        return scores.means

    def draw(self, path, title):
        """Draws what the last call of `scores` found, for queries from the worst to the best."""
        queries = pick_queries(self._ap, _PICTURED_QUERIES)
        rows = query_rows(self._task, self._rankings, self._ap, queries, _PICTURED_RANKS)
        if rows:
            draw_rankings(path, rows, title)
