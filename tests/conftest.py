"""Fixtures shared by all tests."""

import os
from pathlib import Path

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# On busy cores an example may take any time; that says nothing about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


_commands = pytest.StashKey()


def pytest_addoption(pluginmanager):
    """Starts the processes for commands: folders' own conftest.py, imported next, import layers.

    But not in the process that only hands tests out.
    """
    config = pluginmanager.getplugin("pytestconfig")
    several = getattr(config.known_args_namespace, "numprocesses", None)
    if several and "PYTEST_XDIST_WORKER" not in os.environ:
        return
    # Logs of commands go to the standard error of now, which is to be that of the process.
    with pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        from tests.commands import Commands

        config.stash[_commands] = Commands()


def pytest_unconfigure(config):
    if _commands in config.stash:
        config.stash[_commands].end()


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
def run_command(request):
    """`Commands.run`: the words of a command to its exit status, output, and last error line."""
    return request.config.stash[_commands].run
