"""OpenVINO as an engine: an optional package that runs the backbone; pooling stays TensorFlow's."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from darac_tf.engines.quantisation import quantised
from darac_tf.engines.tensorflow_engine import PIXELS
from darac_tf.errors import UserError
from darac_tf.models.descriptor import share_backbone
from darac_tf.models.folding import fold_batch_norm

# Of what is not quantised.
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenVINOEngine:
    """Describes pixels with OpenVINO on the CPU, compiled once for all shapes.

    Arguments and errors: `make_engine`.
    """

    def __init__(self, network, preprocessing, poolings, precision="float32", calibration=None):
        openvino = needed_openvino("--engine=openvino")
        model = convert_backbone(openvino, network, preprocessing)
        if calibration is not None:
            model = quantised(model, calibration.images)
        settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        self._backbone = openvino.Core().compile_model(model, "CPU", settings)
        # The maps are there already: what is left to share is the pooling.
        pool = share_backbone(lambda maps, training: maps, lambda maps: maps, poolings)
        maps = tf.TensorSpec([None, None, None, network.output_shape[-1]], tf.float32)
        self._pool = tf.function(pool, input_signature=[maps], autograph=False)

    @property
    def traces(self):
        """How often the pooling was traced; the backbone is compiled when the engine is made."""
        return self._pool.experimental_get_tracing_count()

    def __call__(self, pixels):
        return self._pool(tf.constant(self._backbone(np.asarray(pixels))[0]))


def needed_openvino(what):
    """The package; a `UserError` that says what needs it where it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise UserError(
            f"{what} needs a package that is not installed: pip install openvino"
        ) from error
    return openvino


def convert_backbone(openvino, network, preprocessing):
    """A backbone with its preprocessing as an `openvino.Model`, with `openvino` the package.

    It takes float32 pixels `(batch, height, width, 3)` and gives float32 feature maps.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    folded, _ = fold_batch_norm(keras.Model(pixels, network(preprocessing(pixels))))
    variables = folded.trainable_variables, folded.non_trainable_variables
    weights = [[variable.numpy() for variable in group] for group in variables]

    def feature_maps(inputs):
        # Made here, they become constants of the graph.
        constants = [[tf.constant(value) for value in values] for values in weights]
        return folded.stateless_call(*constants, inputs, training=False)[0]

    traced = tf.function(feature_maps, input_signature=[PIXELS], autograph=False)
    graph = traced.get_concrete_function().graph.as_graph_def()
    # From a file and not by `openvino.convert_model`, which reports its use to the makers.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backbone.pb"
        file.write_bytes(graph.SerializeToString())
        return openvino.Core().read_model(file)
