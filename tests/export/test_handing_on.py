"""`darac publish`: a run for others, as a folder and on a stand-in of the Hugging Face hub."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from darac_tf.commands import publish as command
from darac_tf.describing.sources import load_sources
from darac_tf.errors import UserError
from darac_tf.export.handing_on import hand_on, settings_of_folder
from darac_tf.hugging_face import local_copy
from darac_tf.models import build_backbone, load_descriptor
from darac_tf.systems.published import read_published, whitening_file
from darac_tf.whitening import load_whitening
from tests.export.hub_stand_in import serving

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def run(simple, known, tmp_path_factory):
    """A run directory with its settings, and beside it a whitening and a report."""
    folder = tmp_path_factory.mktemp("handing_on")
    for path in (known.whitening_path, known.report):
        shutil.copy(path, folder)
    own = load_whitening(folder / "w.npz")
    changed = own.provenance | {"images": str(folder / "photos")}
    dataclasses.replace(own, provenance=changed).save(folder / "w.npz")
    (folder / "run").mkdir()
    simple.save(folder / "run" / "best.keras")
    settings = {"dataset": "gldv2_clean", "data_dir": str(folder / "photos"), "steps": 3}
    (folder / "run" / "config.json").write_text(json.dumps(settings))
    return folder / "run"


@pytest.fixture(scope="module")
def words(run):
    """Words of the command but where to."""
    return (
        *(str(run), "--licence=cc-by-4.0", "--resolutions=32,48"),
        *(f"--whitening={run.parent / 'w.npz'}", f"--report={run.parent / 'report.json'}"),
    )


@pytest.fixture(scope="module")
def folder(words, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "small"
    command.main([*words, f"--to={out}"])
    return out


def test_a_folder_has_everything_and_is_a_run(folder, run, simple, whitening):
    names = {path.name for path in folder.iterdir()}
    files = {"best.keras", "config.json", "published.json", "scores.json", "whitening.npz"}
    assert names == files | {"README.md", "saved_model"}
    assert (folder / "saved_model" / "1" / "saved_model.pb").is_file()
    np.testing.assert_array_equal(load_descriptor(folder)(PIXELS), simple(PIXELS))
    found = load_whitening(whitening_file(folder, 2))
    np.testing.assert_array_equal(found.projection, whitening.projection)
    assert found.provenance["images"] == "photos"
    assert json.loads((folder / "scores.json").read_text())[0]["scores"] == {"mAP (plain)": 0.5}
    texts = [p.read_text() for p in folder.rglob("*") if p.suffix in (".json", ".md")]
    assert not any(str(run.parent) in text for text in texts)  # Others' paths are private.
    settings, path = settings_of_folder(folder)
    assert list(map(str, settings.resolutions)) == ["32", "48"] and path.parent == folder


def test_the_head_of_the_card(folder):
    yaml = pytest.importorskip("yaml")
    head, page = (folder / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    head = yaml.safe_load(head)
    assert head["license"] == "cc-by-4.0" and head["library_name"] == "keras"
    assert head["datasets"] == ["gldv2_clean"] and head["metrics"] == ["mAP (plain)"]
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "mAP (plain)", "name": "mAP (plain)", "value": 0.5}]
    assert result["dataset"]["type"] == "photos"
    assert page.startswith("# run\n") and "--resolutions=32,48 --whitening=MODEL" in page


def test_what_does_not_fit_leaves_nothing(run, words, tmp_path):
    out = tmp_path / "out"
    for change, message in (
        ("--resolutions=32", "whitening was fitted at the resolutions 32,48"),
        ("--exponent=2", "--exponent is for --combination=gmean"),
        ("--whitening=nowhere.npz", "can't read the whitening nowhere.npz"),
    ):
        with pytest.raises(UserError, match=message):
            command.main([*words, change, f"--to={out}"])
    with pytest.raises(UserError, match=r"no best\.keras in it"):
        command.main([str(run.parent), "--licence=mit", f"--to={out}"])
    with pytest.raises(UserError, match="write it as hf://USER/NAME"):
        command.main([*words, "--to=hf://name"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "facts",
    [
        {"system": None, "evaluation": {"out": "/"}, "whitening": {}},
        {"system": None, "evaluation": {}, "whitening": {"one": "../w.npz"}},
        {"system": None, "evaluation": {"resolutions": [299]}, "whitening": {}},
        {"system": None, "evaluation": {"exponent": "9"}, "whitening": {}},
        {"evaluation": {}, "whitening": {}},
        ["system"],
    ],
)
def test_facts_of_anyone_set_nothing_else(facts, tmp_path):
    (tmp_path / "published.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="is not of `darac convert` or `publish`"):
        read_published(tmp_path)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in of the hub, with a cache of its own."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="no huggingface_hub")
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        yield server


def test_to_the_hub_and_back(hub, words, simple, whitening, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_stand_in")
    command.main([*words, "--to=hf://someone/small"])
    assert f"{hub.address}/someone/small/commit/" in capsys.readouterr().out
    assert {"README.md", "saved_model/1/saved_model.pb"} <= set(hub.files["someone/small"])
    assert "license: " in hub.heads[0]
    name = "hf://someone/small"
    np.testing.assert_array_equal(load_descriptor(name)(PIXELS), simple(PIXELS))
    assert not list((tmp_path / "cache").rglob("*.pb"))  # Exports of others stay where they are.
    (source,) = load_sources([name, f"{name}+mac"])
    assert source.names == (name, f"{name}+mac") and source.dimensions == [16, 16]
    assert build_backbone(name)[0].output_shape == (None, None, None, 16)
    found = load_whitening(whitening_file(name, 2))
    np.testing.assert_array_equal(found.projection, whitening.projection)
    # Without the network, it is what was downloaded.
    hub.files.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(load_descriptor(name)(PIXELS), simple(PIXELS))
    with pytest.raises(UserError, match=r"hf://someone/other: can't be had.*cache") as info:
        load_descriptor("hf://someone/other")
    assert "\n" not in str(info.value)


def test_a_hub_that_refuses(hub, words):
    with pytest.raises(UserError, match=r"hf://no/body: can't be had, nor is it in the cache \("):
        local_copy("hf://no/body")
    hub.refuses = True
    with pytest.raises(UserError, match=r"--to=hf://a/b: can't be uploaded \(.*403"):
        command.main([*words, "--to=hf://a/b"])


@pytest.mark.slow
def test_an_index_of_a_model_of_the_hub(hub, folder, tmp_path):
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.untrained import folder_of_model

    hub.files["a/b"] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    made = folder_of_model("hf://a/b")
    assert made.is_relative_to(tmp_path) and ExportedModel(made).dimension == 4
    assert folder_of_model("hf://a/b") == made


def test_a_converted_run_is_handed_on_as_its_authors_measure_it(run, known, no_model, tmp_path):
    converted = shutil.copytree(run, tmp_path / "run")
    how = {"resolutions": ["32,48"], "combination": "gmean", "exponent": 2.5}
    facts = {"system": "gem", "evaluation": how, "whitening": {"several": "w.npz"}}
    (converted / "published.json").write_text(json.dumps(facts))
    shutil.copy(known.whitening_path, converted / "w.npz")
    settings, path = settings_of_folder(converted)
    assert settings.exponent == 2.5 and settings.combination == "gmean" and path.name == "w.npz"
    hand_on(converted, tmp_path / "out", settings, "mit", path)
    assert read_published(tmp_path / "out") == facts | {"whitening": {"several": "whitening.npz"}}
