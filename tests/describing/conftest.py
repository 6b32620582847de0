"""Images that the tests of extraction share; none of them changes a file."""

import pytest

from tests.describing.extraction_helpers import write_images


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Paths of twelve images in three shapes."""
    return write_images(tmp_path_factory.mktemp("images"))
