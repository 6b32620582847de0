"""Whether a run directory holds the run that a row of the paper's tables stands for."""

import json
from pathlib import Path

from darac_tf.data.training_sets.record_index import RecordIndex
from darac_tf.errors import UserError
from darac_tf.local_features.model import PCA_FILE
from darac_tf.models.descriptor import LAST_MODEL
from darac_tf.settings import CONFIG_FILE
from darac_tf.systems import load_run, run_names

# Data sets by the end of a run's name.
_DATA = {"GL": "gldv2_clean", "CL": "landmarks_clean", "SfM": "sfm_120k"}
_COMPARED = ("matching", "layer", "pooling", "loss", "mining", "image_size", "steps")


def settings_of(folder):
    """What the run in a folder was trained with, a dictionary; `UserError` if it can't be read."""
    try:
        settings = json.loads((Path(folder) / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: holds no run with a {CONFIG_FILE}") from error
    if not isinstance(settings, dict):
        raise UserError(f"{folder}: its {CONFIG_FILE} holds no settings")
    return settings


def differences(folder, name):
    """What of the run in a folder is not as in the run of a name: a list of "what, not what".

    Compared are the backbone and the run it begins with, the pooling, the loss, the size of images,
    the data and the steps, and whether it came to its end. `UserError` if there is no run.
    """
    trained, wanted = settings_of(folder), load_run(name)
    found = [
        f"{key}={trained.get(key)}, not {wanted[key]}"
        for key in _COMPARED
        if key in wanted and trained.get(key) != wanted[key]
    ]
    begun, first = trained.get("backbone"), Path(wanted["backbone"]).name
    if first in run_names() and (Path(begun) / CONFIG_FILE).is_file():
        found += [f"{each} in {begun}" for each in differences(begun, first)]
    elif begun != wanted["backbone"]:
        found.append(f"backbone={begun}, not {wanted['backbone']}")
    if trained.get("backbone_weights") == "none":
        found.append("backbone_weights=none, not imagenet")
    data, data_wanted = _data_of(trained), _DATA[name.split("-")[1]]
    if data != data_wanted:
        found.append(f"trained on {data}, not {data_wanted}")
    end = PCA_FILE if wanted.get("matching") == "local" else LAST_MODEL
    if not (Path(folder) / end).exists():
        found.append(f"has no {end}: not finished")
    return found


def _data_of(settings):
    """The data set of a run; of prepared images what they were prepared from."""
    if settings["dataset"] != "prepared":
        return settings["dataset"]
    try:
        return RecordIndex.open(settings["data_dir"]).name
    except UserError:
        return f"{settings['data_dir']}, which is no prepared set any more"
