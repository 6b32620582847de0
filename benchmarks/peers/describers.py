"""What is compared: this project's extraction, and bare backbones without anything around them."""

import importlib.util

import numpy as np
import tensorflow as tf

from benchmarks.peers.contest import AbsentError
from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.engines import EngineSettings, as_engine, make_engine
from darac_tf.evaluation.combine import combine_resolutions
from darac_tf.evaluation.extraction import Extractor
from darac_tf.evaluation.sizes import as_size
from darac_tf.layers import PCAWhitening
from darac_tf.models import build_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of

_WHITENED = 512


class Extraction:
    """From files to whitened descriptors, as eval.py describes them."""

    def __init__(self, backbone, weights, paths, batch_pixels, engine, precision):
        if engine == "openvino":
            _need("openvino")
        model = build_descriptor(backbone, weights, "darac")
        network, preprocessing = backbone_of(model)
        poolings = {"": model.get_layer(POOLING_LAYER)}
        describe = make_engine(EngineSettings(engine, precision), network, preprocessing, poolings)
        self._extractors = {}
        self._make = lambda count: Extractor(
            as_engine(describe), np.array(paths[:count]), batch_pixels, progress=False
        )
        channels = model.output_shape[-1]
        rng = np.random.default_rng(0)
        projection = rng.normal(size=(min(_WHITENED, channels), channels)).astype(np.float32)
        self._whitening = PCAWhitening.from_arrays(np.zeros(channels, np.float32), projection)

    def describe(self, sizes, count):
        if count not in self._extractors:
            self._extractors[count] = self._make(count)
        found = self._extractors[count].extract_all(sizes)
        vectors = combine_resolutions([found[as_size(size)][""] for size in sizes])
        return np.asarray(self._whitening(vectors))


class Bare:
    """A backbone alone, on decoded and resized pixels, in the batches that the extraction has."""

    def __init__(self, backbone, weights, paths, batch_pixels):
        self._images = [decode_image(tf.io.read_file(path)) for path in paths]
        self._batch_pixels = batch_pixels
        self._batches = {}
        self._run = self._backbone(*backbone_of(build_descriptor(backbone, weights, "spoc")))

    def _backbone(self, network, preprocessing):
        pixels = [tf.TensorSpec([None, None, None, 3], tf.float32)]
        run = tf.function(lambda x: network(preprocessing(x), training=False), pixels)
        return lambda x: run(x).numpy()

    def describe(self, sizes, count):
        for size in sizes:
            for batch in self._batched(size, count):
                self._run(batch)

    def _batched(self, size, count):
        if (size, count) not in self._batches:
            images = [resize_long_side(image, size) for image in self._images[:count]]
            step = max(self._batch_pixels // (images[0].shape[0] * images[0].shape[1]), 1)
            self._batches[size, count] = [
                tf.stack(images[at : at + step]) for at in range(0, count, step)
            ]
        return self._batches[size, count]


class BareOpenVINO(Bare):
    """The same network, converted by OpenVINO."""

    def __init__(self, backbone, weights, paths, batch_pixels, precision):
        _need("openvino")
        self._precision = precision
        super().__init__(backbone, weights, paths, batch_pixels)

    def _backbone(self, network, preprocessing):
        import openvino

        from darac_tf.engines.openvino_engine import convert_backbone

        hints = {"float32": "f32", "bfloat16": "bf16"}
        model = openvino.Core().compile_model(
            convert_backbone(openvino, network, preprocessing),
            "CPU",
            {"INFERENCE_PRECISION_HINT": hints[self._precision]},
        )
        return lambda pixels: model(pixels.numpy())[0]


def _need(package):
    if importlib.util.find_spec(package) is None:
        raise AbsentError(f"pip install {package}")
