"""Fixtures shared by all tests."""

import os
from pathlib import Path

import hypothesis
import pytest

from tests.commands import Commands

REPOSITORY = Path(__file__).resolve().parent.parent

# On busy cores an example may take any time; that says nothing about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def shared_data():
    """The folder with real photographs, weights and ground truth; skips where it is absent."""
    folder = Path(os.environ.get("DARAC_TEST_DATA", REPOSITORY / ".." / "shared")).resolve()
    if not (folder / "ground_truth").is_dir():
        pytest.skip(f"no test data at {folder}: set DARAC_TEST_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _kept_kernels():
    """TensorFlow's own seed is set once: setting it drops all kernels.

    Every function that outlives a test would be optimised anew in the next, which takes most of
    the time of many. Keras and darac_tf draw with stateless operations, whose seeds are Keras's.
    """
    import tensorflow as tf  # Not above: the process that only hands tests out needs none.

    tf.random.set_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.random, "set_seed", lambda seed: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _unoptimised_graphs(request):
    """`make test` runs graphs as they were traced: optimising each takes a fifth of its time.

    All other runs, `make test-slow` and the tests of one file among them, optimise them, and so do
    the commands that `run_command` runs.
    """
    if request.config.option.markexpr == "not slow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def run_command():
    """`Commands.run`: the words of a command to its exit status, output, and last error line."""
    with Commands() as commands:
        yield commands.run
