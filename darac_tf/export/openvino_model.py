"""An export for OpenVINO, in any precision, and what runs it."""

import tempfile
from pathlib import Path

import numpy as np

from darac_tf.choices import MODEL_FILES
from darac_tf.engines.openvino_engine import needed_openvino
from darac_tf.engines.quantisation import quantised
from darac_tf.errors import UserError
from darac_tf.export.pixel_models import HEAD, PixelModel, frozen_graph
from darac_tf.models.descriptor import POOLING_LAYER

# Where the model's file keeps how images are taken.
_INFO = "darac"
# Pooling, combination and whitening stay in float32, as in an engine.
_EXACT = (f".*{HEAD}.*", f".*/{POOLING_LAYER}/.*", ".*/descriptor/.*")


def write_openvino_model(model, folder, settings):
    """Writes `model.xml` and `model.bin` of a descriptor and `ExportSettings` to a new folder.

    Returns the length of the vectors, and the `Folding`. `UserError` if OpenVINO or NNCF is not
    installed, or the whitening is for other descriptors.
    """
    openvino = needed_openvino("--format=openvino")
    frozen, dimension, folding = frozen_graph(model, settings, lambda size, x: size.resize(x))
    converted = _converted(openvino, frozen.graph.as_graph_def())
    if settings.precision == "int8":
        images = [np.rint(image).astype(np.uint8) for image in settings.calibration.images]
        converted = quantised(converted, images, _EXACT)
    converted.set_rt_info(str(settings.max_pixels), [_INFO, "max_pixels"])
    converted.set_rt_info(settings.orientation, [_INFO, "orientation"])
    Path(folder).mkdir()
    is_half = settings.precision == "float16"
    file = Path(folder) / MODEL_FILES["openvino"]
    openvino.save_model(converted, file, compress_to_fp16=is_half)
    return dimension, folding


def read_openvino_model(folder):
    """The `PixelModel` of a folder with `model.xml`; `UserError` if it can't be read or run."""
    openvino = needed_openvino(f"{folder}")
    try:
        model = openvino.Core().read_model(Path(folder) / MODEL_FILES["openvino"])
        orientation = model.get_rt_info([_INFO, "orientation"]).astype(str)
        max_pixels = int(model.get_rt_info([_INFO, "max_pixels"]).astype(str))
        how = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(model, "CPU", how)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{folder} can't be loaded by OpenVINO: export it again") from error
    dimension = compiled.output(0).partial_shape[1].get_length()
    return PixelModel(lambda pixels: compiled(pixels)[0], dimension, orientation, max_pixels)


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
