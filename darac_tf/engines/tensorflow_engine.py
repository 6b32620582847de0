"""TensorFlow as an engine: a function traced once for all shapes, and a folded, fused backbone."""

import tensorflow as tf

from darac_tf.engines.inference_copy import inference_copy
from darac_tf.models.descriptor import share_backbone
from darac_tf.processor import warn_of_software
from darac_tf.threads import THREADS

PIXELS = tf.TensorSpec([None, None, None, 3], tf.float32)


class FunctionEngine:
    """Compiles a function of pixels.

    An engine is called with float32 pixels `(batch, height, width, 3)` in [0, 255] and gives a
    dictionary of name to descriptors `(batch, channels)`, as tensors or arrays. Its `traces` counts
    how often it was traced or compiled; several threads may call it `at_once`, one where it does
    not say so.

    Args:
        describe: Function of a tensor of pixels to such a dictionary. Weights that it reads may
            change between calls.
    """

    at_once = THREADS

    def __init__(self, describe):
        self._function = tf.function(describe, input_signature=[PIXELS], autograph=False)

    @property
    def traces(self):
        """How often the function was traced."""
        return self._function.experimental_get_tracing_count()

    def __call__(self, pixels):
        return self._function(pixels)


def as_engine(describe):
    """`describe` itself where it is an engine, else a `FunctionEngine` of it."""
    return describe if hasattr(describe, "traces") else FunctionEngine(describe)


class TensorFlowEngine(FunctionEngine):
    """Describes pixels with an `inference_copy` of the backbone, traced once for all shapes.

    Its weights stay variables. As constants they would make it 1 to 2 % faster, and take 1.5 GB
    more while the graph of a ResNet50V2 is optimised.

    Arguments and errors: `make_engine`.
    """

    def __init__(self, network, preprocessing, poolings, precision="float32"):
        warn_of_software(precision)
        # Poolings take maps of 16 bits as float32, as they do all inputs.
        copy = inference_copy(network, precision)
        super().__init__(share_backbone(copy, preprocessing, poolings))
