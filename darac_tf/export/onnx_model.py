"""An export to ONNX, in float32, and what runs it.

Its operations are those that runtimes of ONNX have in common: ONNX's own antialiased resize is none
of them and differs from TensorFlow's, so that a resize is two matrix products.
"""

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.choices import ANTIALIAS, MODEL_FILES
from darac_tf.errors import UserError
from darac_tf.export.pixel_models import PixelModel, frozen_graph
from darac_tf.threads import CORES

# Of operations: the newest that tf2onnx writes, known to runtimes since 2023.
_OPSET = 18


def write_onnx_model(model, folder, settings):
    """Writes `model.onnx` of a descriptor and `ExportSettings` to a new folder.

    Returns the length of the vectors, and the `Folding`. `UserError` if tf2onnx is not installed,
    or the whitening is for other descriptors.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise UserError(
            "--format=onnx needs packages that are not installed: pip install onnx tf2onnx "
            "onnxruntime"
        ) from error
    frozen, dimension, folding = frozen_graph(model, settings, _resized)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    converted, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=_OPSET,
        custom_op_handlers={"Transpose": (_convert_transpose, [])},
    )
    info = {"max_pixels": str(settings.max_pixels), "orientation": settings.orientation}
    onnx.helper.set_model_props(converted, info)
    Path(folder).mkdir()
    onnx.save_model(converted, Path(folder) / MODEL_FILES["onnx"])
    return dimension, folding


def read_onnx_model(folder):
    """The `PixelModel` of a folder with `model.onnx`; `UserError` if it can't be read or run."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{folder} needs a package that is not installed: pip install onnxruntime"
        ) from error
    try:
        options = onnxruntime.SessionOptions()
        # It would take all there are, and its threads wait by turning.
        options.intra_op_num_threads = CORES
        session = onnxruntime.InferenceSession(
            Path(folder) / MODEL_FILES["onnx"], options, providers=["CPUExecutionProvider"]
        )
        info = session.get_modelmeta().custom_metadata_map
        about = info["orientation"], int(info["max_pixels"])
    # Its exceptions have no common class of their own.
    except Exception as error:
        raise UserError(f"{folder} can't be loaded by ONNX Runtime: export it again") from error
    name, dimension = session.get_inputs()[0].name, session.get_outputs()[0].shape[1]
    return PixelModel(lambda pixels: session.run(None, {name: pixels})[0], dimension, *about)


def _resized(size, pixels):
    if size.kernel != ANTIALIAS:
        return size.resize(pixels)
    shape = tf.shape(pixels, out_type=tf.int64)
    return resize_by_products(pixels, *size.planned_size(shape[1], shape[2]))


def resize_by_products(images, height, width):
    """The antialiased resize of `data.images.resize`, of operations that everything has.

    `(batch, h, w, 3)` of any dtype to float32 `(batch, height, width, 3)`.
    """
    images = tf.cast(images, tf.float32)
    batch, rows, columns = tf.unstack(tf.shape(images)[:3])
    height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    flat = tf.reshape(images, [batch, rows, columns * 3])
    narrow = tf.reshape(tf.matmul(_shares(rows, height), flat), [batch, height, columns, 3])
    # Channels before columns: one large product, and not one of three numbers for each row.
    turned = tf.reshape(tf.transpose(narrow, [0, 1, 3, 2]), [batch, height * 3, columns])
    small = tf.matmul(turned, _shares(columns, width), transpose_b=True)
    return tf.transpose(tf.reshape(small, [batch, height, 3, width]), [0, 1, 3, 2])


def _shares(before, after):
    """float32 `(after, before)`: what each pixel of a side counts for in each resized one.

    A triangle as wide as a resized pixel, of two pixels at least (`tf.image.resize`).
    """
    scale = tf.cast(before, tf.float32) / tf.cast(after, tf.float32)
    centre = (tf.range(tf.cast(after, tf.float32)) + 0.5) * scale
    pixel = tf.range(tf.cast(before, tf.float32)) + 0.5
    distance = tf.abs(pixel - centre[:, tf.newaxis]) / tf.maximum(scale, 1.0)
    shares = tf.maximum(1.0 - distance, 0.0)
    return shares / tf.reduce_sum(shares, axis=1, keepdims=True)


def _convert_transpose(context, node, name, args):
    """For tf2onnx: a transposition, also one of rows and columns that only the image decides.

    ONNX knows none such; a grid of regions has one, of portraits. It becomes a gather of cells.
    `(batch, rows, columns, channels)` only, whose first and last axis stay.
    """
    from onnx import TensorProto

    del args
    axes = node.inputs[1]
    if axes.is_const():
        order = axes.get_tensor_value()
        context.remove_input(node, node.input[1], 1)
        node.set_attr("perm", order)
        return
    if len(context.get_shape(node.output[0]) or ()) != 4:
        raise ValueError(f"A transposition by the image of maps only. Received: {name}")
    maps, axes = node.input
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    outputs = list(node.output)
    context.remove_node(node.name)

    def constant(value):
        number = len(context.get_nodes())
        return context.make_const(f"{name}_{number}", np.array(value, np.int64)).output[0]

    def add(kind, *inputs, **attributes):
        return context.make_node(kind, list(inputs), attr=attributes).output[0]

    axes = add("Cast", axes, to=TensorProto.INT64)
    before = add("Shape", maps)
    after = add("Gather", before, axes)
    columns = add("Gather", before, constant([2]))
    # How far apart two neighbours of an axis are in the list of cells; rows and columns only.
    steps = add("Concat", constant([0]), columns, constant([1]), constant([0]), axis=0)
    steps = add("Gather", steps, axes)

    def places(axis, form):
        count = add("Gather", after, constant(axis))
        numbers = add("Reshape", add("Range", constant(0), count, constant(1)), constant(form))
        return add("Mul", numbers, add("Gather", steps, constant([axis])))

    cells = add("Add", places(1, [-1, 1]), places(2, [1, -1]))
    ends = [add("Gather", before, constant([axis])) for axis in (0, 3)]
    flat = add("Reshape", maps, add("Concat", ends[0], constant([-1]), ends[1], axis=0))
    taken = add("Gather", flat, add("Reshape", cells, constant([-1])), axis=1)
    context.make_node(
        "Reshape", [taken, after], name=name, outputs=outputs, shapes=[shape], dtypes=[dtype]
    )
