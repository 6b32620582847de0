"""A run as a folder for others: the model, its whitening, an export, scores and a model card.

The folder is a run directory, too: where a command takes a run, it takes this one.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from darac_tf.describing.sizes import parse_sizes
from darac_tf.errors import UserError
from darac_tf.export.model_card import (
    EXTRA,
    JSON_CARD,
    NOT_MEASURED,
    PAGE,
    CardFacts,
    settings_of,
    without_folders,
)
from darac_tf.export.publishing import ExportSettings, publish
from darac_tf.files import atomic_path
from darac_tf.models.backbones import BEST_MODEL
from darac_tf.models.descriptor import load_descriptor
from darac_tf.settings import CONFIG_FILE
from darac_tf.systems.published import PUBLISHED_FILE, read_published, whitening_file
from darac_tf.whitening import load_whitening

CARD = "README.md"
SCORES = "scores.json"
_WHITENING = "whitening.npz"
_EXPORT = "saved_model"
# Of the hub: https://huggingface.co/docs/hub/model-cards
_LIBRARY, _TASK = "keras", "image-feature-extraction"
# Kinds of training sets whose name says nothing.
_OWN_PHOTOGRAPHS = ("folder", "csv", "prepared")
_TAGS = ("image-retrieval", "image-search", "darac")


def hand_on(run, folder, settings, licence, whitening_path=None, report=None, datasets=()):
    """Writes a folder with all that others need of a run: see the module.

    Args:
        run: Run directory, of train.py or converted.
        folder: What is written; it must not exist, or be empty.
        settings: `ExportSettings`, how images are described.
        licence: Of the weights, an identifier of the hub such as `apache-2.0`.
        whitening_path: File of the whitening of the settings, or None.
        report: report.json of eval.py with scores of the run at these settings, or None.
        datasets: Names of training sets on the hub; by default what the run was trained on.

    Raises:
        UserError: If the run holds no descriptor, or something does not fit it; nothing is written.
    """
    run, folder = Path(run), Path(folder)
    model = load_descriptor(run)
    if settings.whitening:
        known = without_folders(settings.whitening.provenance)
        settings = replace(settings, whitening=replace(settings.whitening, provenance=known))
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        shutil.copyfile(run / BEST_MODEL, temporary / BEST_MODEL)
        trained = settings_of(run) or {}
        if trained:
            _write(temporary / CONFIG_FILE, trained)
        if settings.whitening:
            settings.whitening.save(temporary / _WHITENING)
        _write(temporary / PUBLISHED_FILE, _published(run, settings))
        facts = CardFacts(run.absolute().name, str(run), whitening_path, report)
        version = publish(model, temporary / _EXPORT, settings, facts, version=1).folder
        card = json.loads((version / EXTRA / JSON_CARD).read_text(encoding="ascii"))
        page = (version / EXTRA / PAGE).read_text(encoding="utf-8")
        scores = [] if card["scores"] == NOT_MEASURED else card["scores"]
        _write(temporary / SCORES, scores)
        datasets = datasets or _data_of(trained)
        head = _yaml_head(facts.name, licence, datasets, scores)
        title, _, rest = page.partition("\n")
        text = f"---\n{head}---\n{title}\n\n{_use(settings)}\n{rest}"
        (temporary / CARD).write_text(text, encoding="utf-8")


def settings_of_folder(folder, resolutions=None, combination=None, exponent=None, whitening=None):
    """`ExportSettings` of a run, and the path of its whitening or None.

    What is not given is as a folder of `hand_on`, or a converted run, says: texts of
    `describing.sizes`, and paths. Of other runs it is 299, by the sum. `UserError` if they don't
    fit each other.
    """
    facts = read_published(folder) or {"evaluation": {}, "whitening": {}}
    own = facts["evaluation"]
    sizes = parse_sizes(resolutions or own.get("resolutions", ["299"])[0])
    if whitening is None and facts["whitening"]:
        whitening = folder
    path = whitening_file(whitening, len(sizes)) if whitening else None
    combination = combination or own.get("combination", "sum")
    if exponent is None and combination == own.get("combination"):
        exponent = own.get("exponent")
    if exponent is not None and combination != "gmean":
        raise UserError("--exponent is for --combination=gmean")
    loaded = load_whitening(path) if path else None
    return ExportSettings(sizes, loaded, combination, exponent), path


def _data_of(trained):
    name = str(trained.get("dataset", "folder")).removeprefix("tfds:")
    return [] if name in _OWN_PHOTOGRAPHS else [name]


def _write(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _published(run, settings):
    """The same facts as of a converted run, which this one may be."""
    facts = read_published(run) or {"system": None}
    sizes = ",".join(map(str, settings.resolutions))
    how = {"resolutions": [sizes], "combination": settings.combination}
    number = "several" if len(settings.resolutions) > 1 else "one"
    return facts | {
        "evaluation": how | {"exponent": settings.exponent},
        "whitening": {number: _WHITENING} if settings.whitening else {},
    }


def _yaml_head(name, licence, datasets, scores):
    """What the hub reads of a card; all values are JSON, which is YAML, too."""
    metrics = list(dict.fromkeys(metric for row in scores for metric in row["scores"]))
    head = {"license": licence, "library_name": _LIBRARY, "pipeline_tag": _TASK, "tags": _TAGS}
    head |= {key: found for key, found in (("datasets", datasets), ("metrics", metrics)) if found}
    if scores:
        head["model-index"] = [{"name": name, "results": [_result(row) for row in scores]}]
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())


def _result(row):
    steps = (row["whitening"], row["post_processing"])
    dataset = {"type": row["dataset"], "name": ", ".join(filter(None, (row["dataset"], *steps)))}
    metrics = [
        {"type": metric, "name": metric, "value": value}
        for metric, value in row["scores"].items()
        if value is not None
    ]
    return {"task": {"type": _TASK}, "dataset": dataset, "metrics": metrics}


def _use(settings):
    sizes = ",".join(map(str, settings.resolutions))
    how = [f"--resolutions={sizes}"]
    if settings.combination != "sum":
        how.append(f"--combination={settings.combination}")
    if settings.exponent is not None:
        how.append(f"--exponent={settings.exponent:g}")
    if settings.whitening:
        how.append("--whitening=MODEL")
    return (
        "With `pip install 'darac-tf[hub]'`, where MODEL is this folder or its `hf://USER/NAME`:\n\n"
        f"    darac eval --descriptors=MODEL {' '.join(how)} --data_dir=PHOTOS\n"
        "    darac index PHOTOS --model=MODEL\n"
        f"\n`{_EXPORT}/1` maps image bytes to vectors, and needs TensorFlow only."
    )
