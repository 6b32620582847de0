"""What the commands on an index of own images share: flags, and what they stand for."""

import sys
from pathlib import Path

from absl import flags

from darac_tf.choices import AUTOMATIC_FAISS_IMAGES, INDEX_FILE
from darac_tf.errors import UserError
from darac_tf.files import user_folder


class _IndexValues(flags.FlagValues):
    """Without `--index`, parsing takes the index that is among the user's data."""

    def __call__(self, *arguments, **options):
        rest = super().__call__(*arguments, **options)
        self.index = self.index or str(_users_index())
        return rest


def _users_index():
    """The one that there is; where there is none, the folder for it."""
    folder = user_folder("data") / "indexes"
    found = sorted(path.parent for path in folder.glob(f"*/{INDEX_FILE}"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{folder} holds several indexes ({names}): name one, --index={found[0]}")
    return found[0] if found else folder / "default"


def index_values():
    """`FlagValues` with `--index`."""
    values = _IndexValues()
    text = "Folder of the index; default: the one in ~/.local/share/darac_tf/indexes."
    flags.DEFINE_string("index", None, text, values)
    return values


def define_faiss_index(values):
    """Defines `--faiss_index`."""
    automatic = f"for more than {AUTOMATIC_FAISS_IMAGES} images what fits into the memory"
    text = f"a kind such as HNSW32; none; auto: {automatic}, where faiss is installed."
    flags.DEFINE_string("faiss_index", "auto", f"Approximate search: {text}", values)


def kind_of_faiss_index(values, index):
    """The kind that `--faiss_index` stands for, for an open `Index`; None for exact search."""
    from darac_tf.search.faiss_index import automatic_kind

    if values.faiss_index == "auto":
        return automatic_kind(len(index.live()[1]))
    return None if values.faiss_index == "none" else values.faiss_index


def make_faiss_index(index, kind, memory=None):
    """Makes a faiss index of an `Index` that is open for writing, and says so.

    `memory` is the most that it may take, in bytes; None for what the machine has free.
    """
    from darac_tf.search import faiss_index

    print(f"makes a faiss index ({kind})", file=sys.stderr)
    made = faiss_index.make_faiss_index(index, kind, memory)
    print(f"made {made}", file=sys.stderr)


def model_of(values, default=None):
    """The `ExportedModel` of `--model`; by default that of the index.

    `default` names that of an index that is not there yet; None refuses it.
    """
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.index import read_settings
    from darac_tf.search.untrained import folder_of_model

    name, known = values.model, (None, None)
    if default is None or (Path(values.index) / INDEX_FILE).exists():
        settings = read_settings(values.index)
        name = name or settings["model_folder"]
        known = settings.get("model_stamp"), settings["model"]
    return ExportedModel(folder_of_model(name or default), known)
