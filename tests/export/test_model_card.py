"""The model card: what is in it, and what it refuses."""

import dataclasses
import hashlib

import pytest

from darac_tf.errors import UserError
from darac_tf.export import ExportSettings, publish
from darac_tf.export.model_card import CardFacts
from tests.export.conftest import RESOLUTIONS, card_of


def test_a_card(exported):
    card = card_of(exported)
    wanted = "name dimension backbone pooling resolutions combination precision whitening training"
    assert set(f"{wanted} versions checksums scores created".split()) <= set(card)
    assert card["name"] == "small" and card["dimension"] == 16 and card["scores"] == "not measured"
    assert card["batch_normalization"] == {"found": 1, "folded": 1}
    for name, digest in card["checksums"].items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest
    files = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    cards = {"assets.extra/model_card.json", "assets.extra/MODEL_CARD.md"}
    assert files == set(card["checksums"]) | cards
    page = (exported / "assets.extra" / "MODEL_CARD.md").read_text()
    assert page.startswith("# small\n") and "1 of 1" in page and "Not measured." in page


def test_a_card_with_all_that_is_known(simple, whitening, known, no_model, tmp_path):
    settings = ExportSettings(RESOLUTIONS, whitening)
    whitened = publish(simple, tmp_path / "white", settings, known).folder
    card = card_of(whitened)
    assert card["training"] == {"run": "run", "config": {"loss": "nra", "steps": 3}}
    assert card["whitening"]["provenance"]["images"] == "some|photos"
    assert (card["whitening"]["from"], card["whitening"]["to"]) == (16, 4)
    assert len(card["scores"]) == 1 and card["scores"][0]["scores"] == {"mAP (plain)": 0.5}
    page = (whitened / "assets.extra" / "MODEL_CARD.md").read_text()
    for part in ("| photos | - | - | 50.00 |", "- loss: nra", "some\\|photos", "`python x`"):
        assert part in page


def test_reports_that_do_not_fit(model, known, no_model, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="no row of run with 16 dimensions at 32"):
        publish(model, out, ExportSettings((32,)), known)
    (tmp_path / "report.json").write_text("[1]")
    facts = dataclasses.replace(known, report=str(tmp_path / "report.json"))
    with pytest.raises(UserError, match="is no report"):
        publish(model, out, ExportSettings(RESOLUTIONS), facts)
    assert not any(out.iterdir())


def test_a_card_of_what_was_not_trained(model, no_model, tmp_path):
    facts = CardFacts("plain", "EfficientNetLite2+rmac")
    folder = publish(model, tmp_path / "out", ExportSettings(RESOLUTIONS), facts).folder
    sentence = "othing was trained for retrieval: the weights are those of EfficientNetLite2"
    assert card_of(folder)["training"].startswith(f"n{sentence}")
    assert f"N{sentence} for ImageNet.\n" in (folder / "assets.extra" / "MODEL_CARD.md").read_text()
