"""What the tests of training share."""

import contextlib

import pytest
import tensorflow as tf

from darac_tf.training import validation


@pytest.fixture(scope="package", autouse=True)
def _small_pictures():
    """A validation draws one query: 42 pictures take three times as long as the rest of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "_PICTURED_QUERIES", 1)
        patch.setattr(validation, "_PICTURED_RANKS", 1)
        yield


@contextlib.contextmanager
def _eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def eagerly():
    """The steps of a short run one by one: their graph takes longer to build than they do.

    For what surrounds the steps: files, resuming, stopping. The graph is tested in `test_step.py`,
    and by the runs that count its traces.
    """
    with _eager():
        yield


@pytest.fixture(scope="module")
def eagerly_in_module():
    """As `eagerly`, for all of a module."""
    with _eager():
        yield
