"""`index.json`: what the vectors of an index are, and where."""

import json
import re
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.files import atomic_path

SETTINGS = "index.json"
# 2: keys of `data.content_keys`.
_FORMAT = 2
_KINDS = {"format": int, "model": str, "dimension": int, "vectors": str, "model_folder": str}


def new_settings(describer):
    """The settings of a new index of an `ExportedDescriber`, see `read_settings`."""
    return {
        "format": _FORMAT,
        "model": describer.fingerprint,
        "model_folder": str(describer.folder),
        "dimension": describer.dimension,
        "vectors": "vectors-1",
    }


def check_model(folder, settings, describer):
    """Refuses an `ExportedDescriber` that is not of the model of the index.

    Raises:
        UserError: Then; says which model it was.
    """
    if settings["model"] != describer.fingerprint:
        raise UserError(
            f"--index: {folder} was made with another model ({settings['model_folder']}) than "
            f"{describer.folder}: use that one, or name another folder for a new index"
        )


def read_settings(folder):
    """Reads `index.json`.

    Returns:
        Dictionary: "format", "model" (fingerprint of the model), "model_folder" (where it was),
        "dimension" and "vectors" (the subfolder they are in).

    Raises:
        UserError: If it is missing, damaged or of another format.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        raise UserError(
            f"--index: no index in {folder}: make one with python -m darac_tf.search index"
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        good = all(type(settings[name]) is kind for name, kind in _KINDS.items())
        good &= re.fullmatch(r"vectors-[0-9]{1,9}", settings["vectors"]) is not None
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good or settings["format"] != _FORMAT or settings["dimension"] < 1:
        raise UserError(
            f"--index: {path} is damaged or of another version: delete {folder}, and index again"
        )
    return settings


def write_settings(folder, settings):
    """Writes `index.json`, the whole of it or nothing."""
    with atomic_path(Path(folder) / SETTINGS) as path:
        path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
