"""Settings of whole runs as readable files: what `train.py --config=NAME` takes.

A file holds flags of train.py with their values, and may name the system that it is of; its first
comment has the command and the score to expect. The runs of the paper's tables are in `systems`.
Flags that are given win over it.
"""

import dataclasses
import json
import tomllib
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.settings import is_of_kind
from darac_tf.systems import RUNS, load_system, run_names
from darac_tf.training.config import TrainConfig

_FOLDER = Path(__file__).parent


def config_names():
    """Names of the files that come with the project, sorted."""
    return sorted([*(file.stem for file in _FOLDER.glob("*.toml")), *run_names()])


def load_config(name):
    """Reads values of some or all fields of `TrainConfig`, as a dictionary.

    Of one of `config_names`, a `.toml` file, or the `config.json` of an earlier run. Where it has a
    `system`, what it doesn't say is taken from there. `UserError` if there is no such file, or it
    holds anything else.
    """
    return load_presets(name)[0]


def load_presets(config=None, system=None):
    """What `--config` and `--system` say together: a system wins where both speak.

    Either may be None. `(settings, replaced)`: a dictionary of names to values, and one of what the
    config said where the system says something else. `UserError` as of `load_config` and
    `load_system`, or if the config is of another system.
    """
    of_config = _read(config) if config else {}
    own = of_config.pop("system", None)
    if own and system and own != system:
        raise UserError(
            f"--system={system}: --config={config} is a run of --system={own}; leave one out"
        )
    of_system = load_system(own or system).train if own or system else {}
    if own:
        return of_system | of_config, {}
    replaced = {n: of_config[n] for n, v in of_system.items() if of_config.get(n, v) != v}
    return of_config | of_system, replaced


def _read(name):
    folder = RUNS if name in run_names() else _FOLDER
    path = folder / f"{name}.toml" if name in config_names() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        advice = f"give {', '.join(config_names())}, a .toml file or the config.json of a run"
        raise UserError(f"--config={name}: no such file; {advice}") from error
    except ValueError as error:  # Of both formats, and of text that is not UTF-8.
        raise UserError(f"--config={name}: can't be read: {error}") from error
    if not isinstance(settings, dict):
        raise UserError(f"--config={name}: must hold names with values")
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    for key, value in settings.items():
        if key == "system":
            continue  # `load_system` knows them.
        if key not in fields:
            raise UserError(f"--config={name}: train.py has no flag --{key}")
        if not is_of_kind(value, fields[key]):
            raise UserError(f"--config={name}: {key} = {value!r} is not of the kind of --{key}")
    return settings
