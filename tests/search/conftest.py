"""Four photographs in two folders, and where their index goes."""

import pytest

from tests.search.collection import write_file


@pytest.fixture
def photos(tmp_path):
    for name in "abc":
        write_file(tmp_path / "photos" / "sub" / f"{name}.jpg", name.encode())
    write_file(tmp_path / "photos" / "d.PNG", b"d")
    return tmp_path / "photos"


@pytest.fixture
def index(tmp_path):
    return tmp_path / "index"
