"""The demo at a tiny size: what it measures, what it leaves, and that its page holds together."""

import json

import keras
import numpy as np
import pytest

from darac_tf.commands.main import main
from darac_tf.demo import photographs
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.sources import load_sources
from darac_tf.evaluation import selftest_config
from darac_tf.search.exported_model import ExportedModel
from tests.helpers import write_image
from tests.reports.parsed_page import ParsedPage

SIDE = 48


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A network of stride 8, whose last convolution is named as that of the demo."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 8, strides=8, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(16, 1, use_bias=False, name="conv_head")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    keras.Model(inputs, x).save(path)
    return str(path)


@pytest.fixture(scope="module")
def drawn(backbone, tmp_path_factory):
    """The folder of a demo on drawn landmarks, which is its only run."""
    out = tmp_path_factory.mktemp("demo") / "page"
    flags = {
        "out": out,
        "backbone": backbone,
        "trained_classes": 5,
        "whitening_classes": 4,
        "tested_classes": 4,
        "views": 3,
        "image_size": SIDE,
        "steps": 24,
        "classes_per_batch": 3,
        "images_per_class": 2,
        "whiten_dim": 6,
    }
    assert main(["demo", *(f"--{name}={value}" for name, value in flags.items())]) == 0
    return out


def test_the_table_has_each_descriptor_plain_and_whitened(drawn):
    rows = json.loads((drawn / "report.json").read_text())["results"]
    names = ["global average", "R-MAC", "RAMAC = DARAC before training", "DARAC trained"]
    assert [row["descriptor"] for row in rows] == [name for name in names for _ in range(2)]
    assert [row["dimension"] for row in rows] == [16, 6] * 4
    page = ParsedPage((drawn / "index.html").read_text(encoding="utf-8"))
    cells = [cell["text"].split()[0] for cell in page.all("td")]
    assert cells == [f"{100 * row['scores']['mAP (plain)']:.1f}" for row in rows]


def test_the_saved_model_is_the_measured_one(drawn):
    """What stored maps gave is what the whole network gives, by the ordinary evaluation's path."""
    rows = json.loads((drawn / "report.json").read_text())["results"]
    (source,) = load_sources([f"{drawn}-files/darac.keras"])
    paths = np.array([query["path"] for query in rows[6]["per_query"]])
    (vectors,) = extract_features(source.describe, paths, [SIDE], progress=False)[SIDE].values()
    labels = np.array([path.split("/")[-2] for path in paths])
    aps = []
    for own, query in enumerate(vectors):
        order = [row for row in np.argsort(-vectors @ query, kind="stable") if row != own]
        hits = np.flatnonzero(labels[order] == labels[own]) + 1
        aps.append(np.mean(np.arange(1, len(hits) + 1) / hits))
    assert np.mean(aps) == pytest.approx(rows[6]["scores"]["mAP (plain)"], abs=0.02)


def test_what_is_left_is_whole(drawn):
    export = ExportedModel(f"{drawn}-files/export/1")
    assert export.dimension == 6
    page = ParsedPage((drawn / "index.html").read_text(encoding="utf-8"))
    for link in page.all("a"):
        assert (drawn / link["href"]).is_file()
    assert len(page.all("article")) == 2 * 4
    assert sum(path.stat().st_size for path in drawn.iterdir()) < 3e6
    found = ParsedPage((drawn / "search.html").read_text(encoding="utf-8"))
    assert len(found.all("article")) == 4
    # The picture that is searched with is in the index.
    assert next(each["text"] for each in found.all("span", class_="score")) == "1.0000"


@pytest.mark.slow  # What it is made of is tested quickly.
def test_own_photographs(backbone, tmp_path, monkeypatch, capsys):
    for number in range(12):
        write_image(tmp_path / "photos" / f"{number}.jpg", 48, 64, number)
    names = [f"{backbone}+spoc", f"{backbone}+rmac"]
    small = selftest_config.SelftestConfig(names, resolutions=["48"])
    monkeypatch.setattr(
        photographs, "SelftestConfig", lambda **kept: small.__class__(**vars(small) | kept)
    )
    out = tmp_path / "page"
    assert main(["demo", f"--photos={tmp_path / 'photos'}", f"--out={out}"]) == 0
    assert str(out / "index.html") in capsys.readouterr().out
    page = ParsedPage((out / "index.html").read_text(encoding="utf-8"))
    assert [each["text"] for each in page.all("th", scope="row")] == names
    for link in page.all("a"):
        assert (out / link["href"].removeprefix("file://")).is_file()
    assert len(page.all("article")) == 3
    found = ParsedPage((out / "search.html").read_text(encoding="utf-8"))
    assert len(found.all("article")) == 6


def test_mistakes_are_one_line(tmp_path, capsys):
    for flags in (["--steps=3"], ["--layer=no", "more"], ["--photos=no", "--steps=30"]):
        assert main(["demo", f"--out={tmp_path / 'out'}", *flags]) == 1
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "out").exists()
