"""Four photographs in two folders, where their index goes, and small exported models."""

import pytest

from darac_tf.search import ExportedModel
from tests.search.collection import write_file
from tests.search.small_model import write_model


@pytest.fixture
def photos(tmp_path):
    for name in "abc":
        write_file(tmp_path / "photos" / "sub" / f"{name}.jpg", name.encode())
    write_file(tmp_path / "photos" / "d.PNG", b"d")
    return tmp_path / "photos"


@pytest.fixture
def index(tmp_path):
    return tmp_path / "index"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return ExportedModel(write_model(tmp_path_factory.mktemp("export") / "1"))


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    return ExportedModel(write_model(tmp_path_factory.mktemp("other") / "1", shift=0.0))
