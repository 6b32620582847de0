"""The simplest engine: a function of TensorFlow, traced once for all shapes."""

import tensorflow as tf

PIXELS = tf.TensorSpec([None, None, None, 3], tf.float32)


class FunctionEngine:
    """Compiles a function of pixels.

    An engine is called with float32 pixels `(batch, height, width, 3)` in [0, 255] and gives a
    dictionary of name to descriptors `(batch, channels)`, as tensors or arrays. Its `traces` counts
    how often it was traced or compiled.

    Args:
        describe: Function of a tensor of pixels to such a dictionary. Weights that it reads may
            change between calls.
    """

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
