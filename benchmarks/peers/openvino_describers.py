"""OpenVINO without this project's extraction: the bare backbone, and the exported SavedModel."""

import re

import numpy as np
import tensorflow as tf

from benchmarks.peers.contest import AbsentError, needed
from benchmarks.peers.describers import Bare
from darac_tf.data.images import decode_image, scaled_size, stored_size
from darac_tf.data.pipeline import untuned
from darac_tf.engines.openvino_engine import HINTS, convert_backbone
from darac_tf.export.openvino_model import resize_rule
from darac_tf.threads import CORES


class BareOpenVINO(Bare):
    """The same network as `Bare`, converted by OpenVINO."""

    def __init__(self, backbone, weights, paths, batch_pixels, precision):
        self._openvino, self._precision = needed("openvino"), precision
        super().__init__(backbone, weights, paths, batch_pixels)

    def _backbone(self, network, preprocessing):
        converted = convert_backbone(self._openvino, network, preprocessing)
        model = _compiled(self._openvino, converted, self._precision)
        return lambda pixels: model(pixels.numpy())[0]


class ExportedOpenVINO:
    """An exported SavedModel, frozen, from files to descriptors; decoding runs beside it.

    Args:
        graph: `.pb` of `frozen_export`.
        paths: Files of images of one shape.
        batch_pixels: Most pixels of a batch, at the largest size.
        precision: What is computed in.

    Raises:
        AbsentError: If OpenVINO is not installed, or can't convert the graph; it says what in it.
    """

    def __init__(self, graph, paths, batch_pixels, precision):
        openvino = needed("openvino")
        core = openvino.Core()
        core.add_extension(resize_rule())
        try:
            # Never `openvino.convert_model`, which reports its use to the makers.
            model = core.read_model(graph)
        except RuntimeError as error:
            raise AbsentError(_what_failed(openvino, error)) from error
        self._model = _compiled(openvino, model, precision)
        self._paths, self._batch_pixels = paths, batch_pixels

    def run(self, sizes, count):
        height, width = scaled_size(*stored_size(self._paths[0]), max(sizes))
        step = max(self._batch_pixels // (height * width), 1)
        batches = (
            tf.data.Dataset.from_tensor_slices(self._paths[:count])
            .map(lambda path: decode_image(tf.io.read_file(path)), CORES)
            .batch(step)
            .prefetch(2)
        )
        batches = untuned(batches).as_numpy_iterator()
        # Copied, since the next call writes to the same place.
        return np.concatenate([self._model(batch)[0].copy() for batch in batches])


def _compiled(openvino, model, precision):
    return openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision]}
    )


def _what_failed(openvino, error):
    text = " ".join(str(error).split())
    found = re.search(r"No conversion rule found for operations: (.*?)(?: To facilitate|$)", text)
    what = f"has no conversion rule for {found[1]}" if found else f"can't convert it: {text}"
    return f"OpenVINO {openvino.__version__.partition('-')[0]} {what}"
