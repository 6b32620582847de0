"""The graph of an exported SavedModel with its weights inside, for runtimes that read those."""

import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from benchmarks.peers.whitening import random_whitening
from darac_tf.export import export_saved_model
from darac_tf.models import build_descriptor


def export_frozen(file, backbone, weights, sizes):
    """Exports a descriptor and freezes the signature `pixels` of what lies on the disk then.

    Args:
        file: Where to write the `.pb`.
        backbone: See `build_descriptor`.
        weights: As well.
        sizes: Long sides that are combined and whitened.
    """
    model = build_descriptor(backbone, weights, "darac")
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "export"
        export_saved_model(model, saved, sizes, random_whitening(model.output_shape[-1]))
        freeze(tf.saved_model.load(str(saved)), file)


def freeze(loaded, file):
    """Writes the signature `pixels` of a loaded SavedModel, whose variables become constants."""
    frozen = convert_variables_to_constants_v2(loaded.signatures["pixels"])
    Path(file).write_bytes(frozen.graph.as_graph_def().SerializeToString())
