"""What the tests of training share."""

import pytest

from darac_tf.training import validation
from tests.training.short_runs import step_by_step


@pytest.fixture(scope="package", autouse=True)
def _small_pictures():
    """A validation draws one query: 42 pictures take three times as long as the rest of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "_PICTURED_QUERIES", 1)
        patch.setattr(validation, "_PICTURED_RANKS", 1)
        yield


@pytest.fixture
def eagerly():
    """Short runs on JPEGs, step by step.

    For what surrounds the steps: files, resuming, stopping. The graph is tested in `test_step.py`,
    and by the runs that count its traces.
    """
    with step_by_step():
        yield


@pytest.fixture(scope="module")
def eagerly_in_module():
    """As `eagerly`, for all of a module."""
    with step_by_step():
        yield
