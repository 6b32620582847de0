"""Descriptors without training for retrieval: exported once, and kept in the user's cache."""

import sys
from pathlib import Path

import darac_tf
from darac_tf.describing.sizes import parse_sizes
from darac_tf.errors import UserError
from darac_tf.export.handing_on import settings_of_folder
from darac_tf.export.model_card import CardFacts
from darac_tf.export.publishing import ExportSettings, publish
from darac_tf.files import user_folder
from darac_tf.hugging_face import HF, local_copy, repository_of
from darac_tf.models.backbones import NAMES
from darac_tf.models.descriptor import load_descriptor

# Chosen by what docs/results.md measures.
DEFAULT_MODEL = "EfficientNetLite0+rmac"
_RESOLUTIONS = "299,420"


def folder_of_model(name):
    """The folder of an exported model.

    Args:
        name: The folder; `hf://USER/NAME`, a published run, whose export is made here of its model
            and kept in the cache; or `BACKBONE+POOLING` with one of `backbones.NAMES`, whose
            export is in the cache, and is made where this release has not done so. That of a
            folder in the cache which is gone is made again.

    Raises:
        UserError: If it can't be made, or the cache can't be written.
    """
    if str(name).startswith(HF):
        return _of_published(name)
    path, models = Path(name), user_folder("cache") / "models"
    if path.parent.parent == models:
        name = path.parent.name.partition("-")[0]
    if path.exists() or str(name).rpartition("+")[0] not in NAMES:
        return path
    out = models / f"{name}-{_RESOLUTIONS}-{darac_tf.__version__}"
    command = f"darac export --model={name} --resolutions={_RESOLUTIONS} --out={out}"
    facts = CardFacts(name, name, command=command)
    return _exported(name, out, ExportSettings(parse_sizes(_RESOLUTIONS)), facts)


def _of_published(name):
    """Of a run of the hub: exports that others have made are programs of theirs."""
    run = Path(local_copy(name))
    settings, whitening = settings_of_folder(run)
    # The last part of a folder in the hub's cache is its revision.
    names = [*repository_of(name)[0].split("/"), run.name, darac_tf.__version__]
    out = user_folder("cache") / "models" / "-".join(names)
    return _exported(name, out, settings, CardFacts(name, str(run), whitening))


def _exported(name, out, settings, facts):
    folder = out / "1"
    if not folder.exists():
        print(f"exports {name} once, to {folder}", file=sys.stderr)
        try:
            publish(load_descriptor(name), out, settings, facts, version=1)
        except UserError:
            if not folder.exists():  # Else another process was faster.
                raise
    return folder
