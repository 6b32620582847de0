"""The model card as a Markdown page."""

import json

from darac_tf.reports.markdown import ABSENT, escaped, percent, table


def card_page(card):
    """A page of a model card.

    Args:
        card: Dictionary of `model_card.write_model_card`.

    Returns:
        Markdown, ending in a newline.
    """
    parts = [
        f"# {escaped(card['name'])}",
        f"{card['dimension']} numbers for an image, float32, of unit length: their dot product is "
        "the similarity of two images.",
        table(["", ""], [[name, _text(value)] for name, value in _facts(card)], [False, False]),
        "## Scores",
        _scores(card["scores"]),
        "## Training",
        _training(card["training"]),
        "## Files",
        table(["file", "SHA-256"], list(card["checksums"].items()), [False, False]),
        "## Versions",
        _listed(card["versions"]),
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
        ("batch normalisations folded", f"{norms['folded']} of {norms['found']}"),
        ("most pixels of an image", card["max_pixels"]),
        ("compared with its source", card["verification"]),
        ("fingerprint of the source", card["fingerprint"]),
    ]


def _scores(scores):
    if isinstance(scores, str):
        return scores.capitalize() + "."
    metrics = list(dict.fromkeys(name for row in scores for name in row["scores"]))
    rows = [
        [
            *(_text(row[key]) for key in ("dataset", "whitening", "post_processing")),
            *(percent(row["scores"].get(metric)) for metric in metrics),
        ]
        for row in scores
    ]
    header = ["data set", "whitening", "post-processing", *metrics]
    return table(header, rows, [False] * 3 + [True] * len(metrics))


def _training(training):
    if training is None:
        return "No settings of a training run lie beside the model."
    return f"Run {escaped(training['run'])}.\n\n{_listed(training['config'])}"


def _listed(values):
    if not isinstance(values, dict):
        return escaped(json.dumps(values))
    return "\n".join(
        f"- {escaped(str(name))}: {escaped(_text(value))}"
        for name, value in values.items()
        if value is not None
    )


def _text(value):
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else json.dumps(value)
