"""An export for OpenVINO: one model from pixels to vectors, in any precision, and what runs it.

OpenVINO decodes no files, so that whoever runs it gives pixels: uint8 `(batch, height, width, 3)`,
RGB, upright or as stored. Resizes, all sizes, whitening and L2 are inside.
"""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from darac_tf.choices import MODEL_FILES
from darac_tf.data.exif import turn_upright
from darac_tf.data.images import decode_in_graph
from darac_tf.describing.combination import combine_tensors, whitening_layer
from darac_tf.engines.inference_copy import fused_copy
from darac_tf.engines.openvino_engine import needed_openvino
from darac_tf.engines.quantisation import quantised
from darac_tf.errors import UserError
from darac_tf.export.decoding import read_headers
from darac_tf.models.descriptor import POOLING_LAYER
from darac_tf.models.folding import fold_batch_norm

MODEL_FILE = MODEL_FILES[1]
# Where the model's file keeps how images are taken.
_INFO = "darac"
# Pooling, combination and whitening stay in float32, as in an engine.
_HEAD = "darac_head"
_EXACT = (f".*{_HEAD}.*", f".*/{POOLING_LAYER}/.*", ".*/descriptor/.*")


def write_openvino_model(model, folder, settings):
    """Writes `model.xml` and `model.bin` of a descriptor and `ExportSettings` to a new folder.

    Returns the length of the vectors, and the `Folding`. `UserError` if OpenVINO or NNCF is not
    installed, or the whitening is for other descriptors.
    """
    openvino = needed_openvino("--format=openvino")
    folded, folding = fold_batch_norm(model)
    network, whiten = fused_copy(folded), None
    dimension = network.output_shape[-1]
    if settings.whitening is not None:
        whiten = whitening_layer(settings.whitening, dimension)
        dimension = whiten.units

    def describe(pixels):
        parts = [network(size.resize(pixels), training=False) for size in settings.resolutions]
        with tf.name_scope(_HEAD):
            vectors = combine_tensors(parts, settings.combination, settings.exponent)
            return vectors if whiten is None else whiten(vectors)

    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
    frozen = convert_variables_to_constants_v2(
        tf.function(describe, [pixels], autograph=False).get_concrete_function()
    )
    converted = _converted(openvino, frozen.graph.as_graph_def())
    if settings.precision == "int8":
        images = [np.rint(image).astype(np.uint8) for image in settings.calibration.images]
        converted = quantised(converted, images, _EXACT)
    converted.set_rt_info(str(settings.max_pixels), [_INFO, "max_pixels"])
    converted.set_rt_info(settings.orientation, [_INFO, "orientation"])
    Path(folder).mkdir()
    is_half = settings.precision == "float16"
    openvino.save_model(converted, Path(folder) / MODEL_FILE, compress_to_fp16=is_half)
    return dimension, folding


def _converted(openvino, graph):
    core = openvino.Core()
    core.add_extension(resize_rule())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frozen.pb"
        file.write_bytes(graph.SerializeToString())
        # Never `openvino.convert_model`, which reports its use to the makers.
        return core.read_model(file)


def resize_rule():
    """How to convert what an antialiased `tf.image.resize` becomes, which OpenVINO doesn't know."""
    from openvino import opset13
    from openvino.frontend.tensorflow import ConversionExtension

    def convert(node):
        images = opset13.convert(node.get_input(0), "f32")
        axes = opset13.constant(np.array([1, 2], np.int64))
        # The scales follow from the size, and nothing is shifted. Of its modes only Pillow's
        # widens the kernel as TensorFlow does.
        mode = {"mode": "bilinear_pillow", "shape_calculation_mode": "sizes"}
        return opset13.interpolate(images, node.get_input(1), axes=axes, **mode).outputs()

    return ConversionExtension("ScaleAndTranslate", convert)


class OpenVINOModel:
    """An export for OpenVINO, from the contents of image files that an export takes to vectors.

    Args:
        folder: The version's folder, the one that holds `model.xml`.

    Attributes:
        is_upright: Whether images are turned upright by their Exif orientation.
        max_pixels: It takes images of no more.

    Raises:
        UserError: If OpenVINO is not installed, or the model can't be read.
    """

    def __init__(self, folder):
        openvino = needed_openvino(f"{folder}")
        try:
            model = openvino.Core().read_model(Path(folder) / MODEL_FILE)
            self.is_upright = model.get_rt_info([_INFO, "orientation"]).astype(str) == "upright"
            self.max_pixels = int(model.get_rt_info([_INFO, "max_pixels"]).astype(str))
            how = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
            self._model = openvino.Core().compile_model(model, "CPU", how)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{folder} can't be loaded by OpenVINO: export it again") from error
        self.dimension = self._model.output(0).partial_shape[1].get_length()

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
                vectors[place] = self._model(image.numpy()[np.newaxis])[0][0]
                valid[place] = True
        return vectors, valid
