"""The formats of exports besides TensorFlow's own: what writes each, and what runs it."""

from pathlib import Path

from darac_tf.choices import MODEL_FILES
from darac_tf.export.onnx_model import read_onnx_model, write_onnx_model
from darac_tf.export.openvino_model import read_openvino_model, write_openvino_model

WRITERS = {"openvino": write_openvino_model, "onnx": write_onnx_model}
_READERS = {"openvino": read_openvino_model, "onnx": read_onnx_model}


def read_pixel_model(folder):
    """The `PixelModel` of an export for another runtime; None for a SavedModel.

    `UserError` if its runtime is not installed, or it can't be read.
    """
    for name, read in _READERS.items():
        if (Path(folder) / MODEL_FILES[name]).exists():
            return read(folder)
    return None
