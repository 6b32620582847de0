"""The model card: what an exported model is and where it comes from, as JSON and to read."""

import dataclasses
import datetime
import hashlib
import json
from pathlib import Path

from darac_tf.data.headers import KINDS
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.errors import UserError
from darac_tf.models.backbones import NAMES
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of
from darac_tf.reports.environment import environment
from darac_tf.reports.markdown import as_text, escaped, listing, percent, table
from darac_tf.reports.saved_report import scores_of_model
from darac_tf.settings import CONFIG_FILE

EXTRA = "assets.extra"
JSON_CARD = "model_card.json"
PAGE = "MODEL_CARD.md"
NOT_MEASURED = "not measured"
_UNTRAINED = "nothing was trained for retrieval: the weights are those of {} for ImageNet"
_TURNS = {"upright": "upright, by Exif", "stored": "as stored; Exif is not looked at"}


@dataclasses.dataclass(frozen=True)
class CardFacts:
    """What a card says that the model itself does not know."""

    name: str  # Of the model.
    model_path: str | None = None  # Run directory or `.keras` file that it was read from, or None.
    whitening_path: str | None = None  # File of the whitening, or None.
    # report.json of eval.py with the scores of the model at `model_path`, or None.
    report: str | None = None
    command: str | None = None  # The command that made the export, or None.


def write_model_card(folder, model, settings, facts, dimension, folding, verification):
    """Writes the card beside a SavedModel, as the last of its files: it lists the others' hashes.

    What it says is from the descriptor, `ExportSettings`, `CardFacts`, the length of the exported
    descriptors, `Folding`, and `Verification` or None. A report or settings of a run that can't be
    read are a `UserError`.
    """
    scores = NOT_MEASURED
    if facts.report:
        scores = scores_of_model(facts.report, facts.model_path, settings.resolutions, dimension)
    card = {
        "name": facts.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "dimension": dimension,
        **_model_part(model),
        "resolutions": list(map(str, settings.resolutions)),
        "combination": {"kind": settings.combination, "exponent": settings.exponent},
        "format": settings.format,
        "precision": {
            # What computes in 16 bits is stored so.
            "stored": settings.precision if settings.compute == "float32" else settings.compute,
            "computed": "int8" if settings.calibration else settings.compute,
        },
        "calibration": settings.calibration and settings.calibration.identity,
        "max_pixels": settings.max_pixels,
        "orientation": settings.orientation,
        "images": KINDS,
        "batch_normalization": folding._asdict(),
        "whitening": _whitening_part(settings.whitening, facts.whitening_path),
        "training": _training_part(facts.model_path),
        "scores": scores,
        "verification": dataclasses.asdict(verification) if verification else NOT_MEASURED,
        "command": facts.command,
        "versions": environment(),
        "checksums": _checksums(folder),
    }
    extra = Path(folder) / EXTRA
    extra.mkdir(exist_ok=True)
    text = json.dumps(card, indent=2, allow_nan=False)
    (extra / JSON_CARD).write_text(text + "\n", encoding="ascii")
    (extra / PAGE).write_text(_card_page(card), encoding="utf-8")


def _model_part(model):
    network, preprocessing = backbone_of(model)
    pooling = model.get_layer(POOLING_LAYER)
    config = pooling.get_config()
    options = {key: config[key] for key in config if key not in ("name", "dtype", "trainable")}
    return {
        "backbone": {
            "name": network.name,
            "parameters": network.count_params(),
            "preprocessing": preprocessing.mode,
        },
        "pooling": {"name": type(pooling).__name__, "options": options},
        "fingerprint": model_fingerprint(model),
    }


def _whitening_part(whitening, path):
    if whitening is None:
        return None
    units, channels = whitening.projection.shape
    return {
        "from": channels,
        "to": units,
        "file": path and Path(path).name,
        "sha256": path and _sha256(path),
        "provenance": whitening.provenance,
    }


def _training_part(model_path):
    """Settings of the run, or a sentence; None where the model is a file without a run."""
    path = Path(model_path or "")
    backbone = path.name.partition("+")[0]
    if backbone in NAMES and not path.exists():
        return _UNTRAINED.format(backbone)
    run = path if path.is_dir() else path.parent
    settings = settings_of(run) if model_path is not None else None
    return None if settings is None else {"run": run.resolve().name, "config": settings}


def settings_of(run):
    """Settings of a run, a dictionary, without the folders of the paths among them; or None.

    `UserError` if they can't be read.
    """
    file = Path(run) / CONFIG_FILE
    if not file.is_file():
        return None
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        found = settings.items()
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{file} holds no settings of a run: repair or remove it") from error
    return without_folders(dict(found))


def without_folders(facts):
    """A dictionary, in which absolute paths are names: what is handed on tells no one's folders."""
    return {name: Path(x).name if _is_path(x) else x for name, x in facts.items()}


def _is_path(value):
    return isinstance(value, str) and Path(value).is_absolute()


def _checksums(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card_page(card):
    """The card as a Markdown page."""
    parts = [
        f"# {escaped(card['name'])}",
        f"{card['dimension']} numbers for an image, float32, of unit length: their dot product is "
        "the similarity of two images.",
        table(["", ""], [[name, as_text(value)] for name, value in _facts(card)], [False, False]),
        "## Scores",
        _score_table(card["scores"]),
        "## Training",
        _training_text(card["training"]),
        "## Files",
        table(["file", "SHA-256"], list(card["checksums"].items()), [False, False]),
        "## Versions",
        listing(card["versions"]),
    ]
    if card["command"]:
        parts += ["## Command", f"`{escaped(card['command'])}`"]
    return "\n\n".join(parts) + "\n"


def _facts(card):
    backbone, pooling, norms = card["backbone"], card["pooling"], card["batch_normalization"]
    whitening = card["whitening"]
    return [
        ("made", card["created"]),
        ("backbone", f"{backbone['name']}, {backbone['parameters']} parameters"),
        ("pooling", f"{pooling['name']} {json.dumps(pooling['options'])}"),
        ("resolutions", ", ".join(card["resolutions"])),
        ("combined by", card["combination"]["kind"]),
        ("exponent", card["combination"]["exponent"]),
        ("whitening", whitening and f"{whitening['from']} to {whitening['to']}"),
        ("whitening file", whitening and whitening["file"]),
        ("whitening's SHA-256", whitening and whitening["sha256"]),
        ("whitening's provenance", whitening and whitening["provenance"]),
        ("kernels stored in", card["precision"]["stored"]),
        ("computed in", card["precision"]["computed"]),
        ("calibrated on", card["calibration"]),
        ("format", card["format"]),
        ("batch normalisations folded", f"{norms['folded']} of {norms['found']}"),
        ("images", card["images"]),
        ("orientation of images", _TURNS[card["orientation"]]),
        ("most pixels of an image", card["max_pixels"]),
        ("compared with its source", card["verification"]),
        ("fingerprint of the source", card["fingerprint"]),
    ]


def _score_table(scores):
    if isinstance(scores, str):
        return scores.capitalize() + "."
    columns = ("dataset", "whitening", "post_processing")
    metrics = list(dict.fromkeys(name for row in scores for name in row["scores"]))
    rows = [
        [*(as_text(row[key]) for key in columns), *(percent(row["scores"].get(m)) for m in metrics)]
        for row in scores
    ]
    header = ["data set", "whitening", "post-processing", *metrics]
    return table(header, rows, [False] * len(columns) + [True] * len(metrics))


def _training_text(training):
    if training is None:
        return "No settings of a training run lie beside the model."
    if isinstance(training, str):
        return f"{training[0].upper()}{training[1:]}."
    config = training["config"]
    settings = listing(config) if isinstance(config, dict) else escaped(json.dumps(config))
    return f"Run {escaped(training['run'])}.\n\n{settings}"
