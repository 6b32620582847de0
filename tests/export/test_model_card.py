"""The model card: what is in it, and what it refuses."""

import hashlib
import json

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.export import ExportSettings, publish
from darac_tf.export.model_card import CardFacts
from darac_tf.whitening import fit_pca_whitening
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


def test_a_card_with_all_that_is_known(model, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"loss": "nra", "steps": 3}')
    descriptors = np.random.default_rng(0).normal(size=(40, 16))
    provenance = {"resolutions": ["32", "48"], "images": "some|photos"}
    whitening = fit_pca_whitening(descriptors, 4, provenance)
    whitening.save(tmp_path / "w.npz")
    row = {
        "descriptor": "elsewhere/run", "dimension": 4, "resolutions": [32, "48"],
        "dataset": "photos", "protocol": "plain", "scores": {"mAP (plain)": 0.5},
    }  # fmt: skip
    others = [row | {"dimension": 16}, row | {"descriptor": "b"}, row | {"resolutions": [32]}]
    (tmp_path / "report.json").write_text(json.dumps({"results": [*others, row]}))
    facts = CardFacts(
        "fine", str(run), str(tmp_path / "w.npz"), str(tmp_path / "report.json"), "python x"
    )
    settings = ExportSettings(RESOLUTIONS, whitening)
    folder = publish(model, tmp_path / "out", settings, facts).folder
    card = card_of(folder)
    assert card["training"] == {"run": "run", "config": {"loss": "nra", "steps": 3}}
    assert card["whitening"]["provenance"]["images"] == "some|photos"
    assert (card["whitening"]["from"], card["whitening"]["to"]) == (16, 4)
    assert len(card["scores"]) == 1 and card["scores"][0]["scores"] == {"mAP (plain)": 0.5}
    page = (folder / "assets.extra" / "MODEL_CARD.md").read_text()
    for part in ("| photos | - | - | 50.00 |", "- loss: nra", "some\\|photos", "`python x`"):
        assert part in page
    with pytest.raises(UserError, match="no row of run with 16 dimensions at 32"):
        publish(model, tmp_path / "out", ExportSettings((32,)), facts)
    (tmp_path / "report.json").write_text("[1]")
    with pytest.raises(UserError, match="is no report"):
        publish(model, tmp_path / "out", settings, facts)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1"]
