"""What the processor can do at most, and how much of it a task needs: multiply-adds.

Products of large matrices by oneDNN, on the cores and in the run of what is compared with them:
TensorFlow's in float32 and bfloat16, OpenVINO's in int8.
"""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.contest import Task, needed
from darac_tf.models import build_backbone
from darac_tf.models.folding import flat

_SIDE = 2048
_TITLE = f"peak: product of {_SIDE} x {_SIDE}, s"
PRECISIONS = ("float32", "bfloat16", "int8")


def peak_tasks(precisions=PRECISIONS):
    """The task, as an iterator: products in some of the precisions, float32 first."""
    factory = {
        name: (f"benchmarks.peers.peak:{kind}", {"precision": name})
        for name, kind in zip(PRECISIONS, ("Product", "Product", "QuantisedProduct"), strict=True)
        if name in precisions
    }
    yield Task(_TITLE, factory)


def peak_rates(results):
    """`{precision: multiply-adds a second}` of those that were measured; the best round counts."""
    seconds = next((result.seconds for result in results if result.title == _TITLE), {})
    return {name: _SIDE**3 / min(own) for name, own in seconds.items()}


class Product:
    """A product of two square matrices in TensorFlow, compiled as a graph."""

    def __init__(self, precision):
        left, right = np.random.default_rng(0).standard_normal((2, _SIDE, _SIDE), np.float32)
        self._factors = tf.cast(left, precision), tf.cast(right, precision)
        self._product = tf.function(tf.matmul)

    def run(self):
        self._product(*self._factors).numpy()


class QuantisedProduct:
    """The same in OpenVINO, of a matrix that is quantised first and one that is stored as int8."""

    def __init__(self, precision):
        openvino = needed("openvino")
        from openvino import opset13

        scale, random = np.float32(1 / 127), np.random.default_rng(0)
        pixels = opset13.parameter([_SIDE, _SIDE], np.float32)
        ends = [np.float32(end) for end in (-128 / 127, 1, -128 / 127, 1)]
        quantised = opset13.fake_quantize(pixels, *ends, levels=256)
        stored = random.integers(-127, 128, (_SIDE, _SIDE)).astype(precision)
        weights = opset13.multiply(opset13.convert(opset13.constant(stored), "f32"), scale)
        product = opset13.matmul(quantised, weights, False, True)
        model = openvino.Model([product], [pixels])
        self._model = openvino.Core().compile_model(model, "CPU")
        self._pixels = random.uniform(-1, 1, (_SIDE, _SIDE)).astype(np.float32)

    def run(self):
        self._model(self._pixels)


def multiply_adds_of(backbone, shapes):
    """Multiply-adds of a backbone's convolutions for one image at each of the shapes, summed.

    Args:
        backbone: See `build_backbone`; the weights don't matter.
        shapes: List of heights and widths.
    """
    weights = None if str(backbone).endswith(".keras") else "none"
    network, _ = build_backbone(backbone, weights)
    return sum(_multiply_adds(network, *shape) for shape in shapes)


def _multiply_adds(network, height, width):
    pixels = keras.Input((height, width, 3))
    sized = keras.models.clone_model(network, input_tensors=pixels, recursive=True)
    kinds = keras.layers.Conv2D, keras.layers.DepthwiseConv2D
    layers = [layer for layer in flat(sized) if isinstance(layer, kinds)]
    # Each value of a kernel meets each place of the map that comes of it.
    return sum(
        int(np.prod(layer.kernel.shape)) * int(np.prod(node.output_tensors[0].shape[1:3]))
        for layer in layers
        for node in layer._inbound_nodes[-1:]
    )
