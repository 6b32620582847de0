"""This project's extraction, and the bare backbone in TensorFlow without anything around it."""

import numpy as np
import tensorflow as tf

from benchmarks.peers.contest import needed
from benchmarks.peers.whitening import random_whitening
from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.describing.extraction import extract_features
from darac_tf.engines import EngineSettings, as_engine, make_engine
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of


class Extraction:
    """From files to whitened descriptors, as eval.py describes them."""

    def __init__(self, backbone, weights, paths, batch_pixels, engine, precision):
        if engine == "openvino":
            needed("openvino")
        model = build_descriptor(backbone, weights, "darac")
        network, preprocessing = backbone_of(model)
        poolings = {"": model.get_layer(POOLING_LAYER)}
        describe = make_engine(EngineSettings(engine, precision), network, preprocessing, poolings)
        self._describe = as_engine(describe)
        self._paths, self._batch_pixels = np.array(paths), batch_pixels
        self._whitening = random_whitening(model.output_shape[-1])

    def run(self, sizes, count):
        features = extract_features(
            self._describe,
            self._paths[:count],
            sizes,
            batch_pixels=self._batch_pixels,
            progress=False,
        )
        return np.asarray(features.vectors("").whitened(self._whitening))


class Bare:
    """A backbone alone, on decoded and resized pixels, in the batches that the extraction has."""

    def __init__(self, backbone, weights, paths, batch_pixels):
        self._paths, self._batch_pixels = paths, batch_pixels
        self._batches = {}
        self._network = self._backbone(*backbone_of(build_descriptor(backbone, weights, "spoc")))

    def _backbone(self, network, preprocessing):
        pixels = [tf.TensorSpec([None, None, None, 3], tf.float32)]
        run = tf.function(lambda x: network(preprocessing(x), training=False), pixels)
        return lambda x: run(x).numpy()

    def run(self, sizes, count):
        for size in sizes:
            for batch in self._batched(size, count):
                self._network(batch)

    def _batched(self, size, count):
        if (size, count) not in self._batches:
            images = [
                resize_long_side(decode_image(tf.io.read_file(path)), size)
                for path in self._paths[:count]
            ]
            step = max(self._batch_pixels // (images[0].shape[0] * images[0].shape[1]), 1)
            self._batches[size, count] = [
                tf.stack(images[at : at + step]) for at in range(0, count, step)
            ]
        return self._batches[size, count]
