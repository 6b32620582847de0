"""What the commands on an index of own images share: flags, and what they stand for."""

import sys

from absl import flags

from darac_tf.choices import AUTOMATIC_FAISS_IMAGES, AUTOMATIC_FAISS_KIND


def index_values():
    """`FlagValues` with `--index`."""
    values = flags.FlagValues()
    flags.DEFINE_string("index", None, "Folder of the index.", values, required=True)
    return values


def define_faiss_index(values):
    """Defines `--faiss_index`."""
    automatic = f"{AUTOMATIC_FAISS_KIND} for more than {AUTOMATIC_FAISS_IMAGES} images"
    text = f"a kind such as HNSW32; none; auto: {automatic} where faiss is installed."
    flags.DEFINE_string("faiss_index", "auto", f"Approximate search: {text}", values)


def kind_of_faiss_index(values, index):
    """The kind that `--faiss_index` stands for, for an open `Index`; None for exact search."""
    from darac_tf.search.faiss_index import automatic_kind

    if values.faiss_index == "auto":
        return automatic_kind(len(index.live()[1]))
    return None if values.faiss_index == "none" else values.faiss_index


def make_faiss_index(index, kind):
    """Makes a faiss index of an `Index` that is open for writing, and says so."""
    from darac_tf.search import faiss_index

    print(f"makes a faiss index {kind}", file=sys.stderr)
    faiss_index.make_faiss_index(index, kind)


def model_of(values):
    """The `ExportedModel` of `--model`; by default that of the index."""
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.index import read_settings

    return ExportedModel(values.model or read_settings(values.index)["model_folder"])
