"""How its authors measure a model that `darac convert` has made of their files: the run says so."""

import json
import math
from pathlib import Path

from darac_tf.choices import COMBINATIONS
from darac_tf.errors import UserError
from darac_tf.files import exists
from darac_tf.hugging_face import HF, local_copy

PUBLISHED_FILE = "published.json"


def read_published(run):
    """What a converted run says of its files, a dictionary; None of all else.

    "system" is a preset of eval.py or None, "evaluation" the settings of it that the authors have,
    and "whitening" names of files in the run, `{"one": ..., "several": ...}` for one size and for
    several. `UserError` if they can't be read.
    """
    path = Path(local_copy(run)) / PUBLISHED_FILE
    if not exists(path):
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not _is_sound(facts["system"], facts["evaluation"], facts["whitening"]):
            raise ValueError
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not of `darac convert` or `publish`: make it again") from error
    return facts


def _is_sound(system, evaluation, whitening):
    """Whether nothing else is set than this: a run may be anyone's."""
    sizes = evaluation.get("resolutions", [""])
    exponent = evaluation.get("exponent")
    return (
        evaluation.keys() <= {"resolutions", "combination", "exponent"}
        and (system is None or isinstance(system, str))
        and (isinstance(sizes, list) and sizes and all(isinstance(size, str) for size in sizes))
        and evaluation.get("combination", "sum") in COMBINATIONS
        and (exponent is None or 1 <= exponent < math.inf)
        and all(Path(file).name == file for file in whitening.values())
    )


def published_settings(run, facts):
    """Settings of eval.py, a dictionary, of a run and what `read_published` says of it."""
    return facts["evaluation"] | ({"whitening": str(run)} if facts["whitening"] else {})


def as_published(system, descriptors):
    """Settings of a converted run among the names of descriptors, over those of its system.

    Nothing where there is no such run, or it is of another system. `UserError` if there are other
    descriptors beside it, which its settings are not for.
    """
    for name in descriptors:
        if name.startswith(HF) and "+" in name:
            continue  # Another pooling on its backbone.
        facts = read_published(name)
        if facts and facts["system"] == system:
            if len(descriptors) > 1:
                raise UserError(
                    f"--system={system}: {name} is published with sizes and whitening of its own: "
                    "measure it alone"
                )
            return published_settings(name, facts)
    return {}


def whitening_file(path, sizes):
    """The file of a whitening: `path`, or of a converted run its own for so many sizes.

    `UserError` if the run has none.
    """
    facts = read_published(path)
    if facts is None:
        return Path(local_copy(path))
    file = facts["whitening"].get("several" if sizes > 1 else "one")
    if file is None:
        kind = "several sizes" if sizes > 1 else "one size"
        raise UserError(f"--whitening: {path} has no whitening for {kind}")
    return Path(local_copy(path)) / file
