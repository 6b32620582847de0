"""`darac index` and `query` without a model or an index: both are made, and found again."""

import shutil

import pytest

from darac_tf import __version__
from darac_tf.commands.main import main
from darac_tf.errors import UserError
from darac_tf.search import untrained
from darac_tf.search.untrained import DEFAULT_MODEL, folder_of_model
from tests.helpers import write_image


@pytest.fixture
def home(tmp_path, monkeypatch, model):
    """Where a user's folders are; exports are copies of a small model, listed."""
    for kind in ("CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    exports = []

    def publish(descriptor, out, settings, facts, version):
        exports.append((descriptor, out.name, settings.resolutions, facts.model_path))
        shutil.copytree(model.folder, out / str(version))

    monkeypatch.setattr(untrained, "load_descriptor", lambda name: f"descriptor {name}")
    monkeypatch.setattr(untrained, "publish", publish)
    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path, exports


def run(capsys, *arguments):
    return main([str(argument) for argument in arguments]), *capsys.readouterr()


def test_nothing_but_photographs(home, capsys):
    folder, exports = home
    status, output, errors = run(capsys, "index", folder / "photos")
    assert status == 0 and output.startswith("3 images: 3 new"), errors
    ((descriptor, name, _, path),) = exports
    assert descriptor == f"descriptor {DEFAULT_MODEL}" and path == DEFAULT_MODEL
    assert name.startswith(DEFAULT_MODEL) and name.endswith(__version__)
    export = folder / "cache" / "darac_tf" / "models" / name / "1"
    assert f"exports {DEFAULT_MODEL} once, to {export}" in errors
    # Without --index, and with a cache that was cleared.
    shutil.rmtree(folder / "cache")
    status, output, errors = run(capsys, "query", folder / "photos" / "1.png", "--top_k=1")
    assert status == 0 and f"1.0000  {folder / 'photos' / '1.png'}" in output, errors
    assert export.is_dir() and len(exports) == 2
    run(capsys, "index", folder / "photos", f"--model={DEFAULT_MODEL}")
    assert len(exports) == 2
    indexes = folder / "data" / "darac_tf" / "indexes"
    shutil.copytree(indexes / "default", indexes / "more")
    status, _, errors = run(capsys, "query", folder / "photos" / "1.png")
    assert status == 1 and f"{indexes} holds several indexes (default, more): name" in errors
    assert errors.count("\n") == 1


def test_a_folder_without_photographs_makes_nothing(home, capsys):
    folder, exports = home
    (folder / "empty").mkdir()
    for name, message in (("empty", "holds no image"), ("absent", "no such folder")):
        status, _, errors = run(capsys, "index", folder / name)
        assert status == 1 and message in errors and errors.count("\n") == 1
    status, _, errors = run(capsys, "query", folder / "photos" / "1.png")
    assert status == 1 and "make one with darac index" in errors
    assert not exports and not (folder / "data").exists() and not (folder / "cache").exists()


def test_models_by_name(home, monkeypatch):
    folder, exports = home
    assert folder_of_model(folder / "photos") == folder / "photos"
    assert str(folder_of_model("nowhere/1")) == "nowhere/1" and not exports
    assert folder_of_model("ResNet50V2+gem").parent.name.startswith("ResNet50V2+gem-")

    def fail(*_, **__):
        raise UserError("no space")

    monkeypatch.setattr(untrained, "publish", fail)
    with pytest.raises(UserError, match="no space"):
        folder_of_model("EfficientNetLite1+gem")
