"""What the tests of training share."""

import pytest

from darac_tf.training import validation


@pytest.fixture(scope="package", autouse=True)
def _small_pictures():
    """A validation draws one query: 42 pictures take three times as long as the rest of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "_PICTURED_QUERIES", 1)
        patch.setattr(validation, "_PICTURED_RANKS", 1)
        yield
