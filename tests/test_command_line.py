"""Every command's `--help`, and that it waits for nothing."""

import gc
import os
import subprocess
import sys

import pytest

from darac_tf import cli
from darac_tf.commands.main import COMMANDS, main
from tests.conftest import REPOSITORY

HEAVY = ("tensorflow", "keras", "numpy", "scipy", "sklearn", "matplotlib", "cv2", "PIL")
HELP_OF_ALL = """
import contextlib, io, sys
from darac_tf import cli
from darac_tf.commands.main import COMMANDS, main
for name in COMMANDS:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([name, "--help"])
    print(name, *(heavy for heavy in sys.argv[1:] if heavy in sys.modules))
"""


def test_help_imports_nothing_heavy():
    command = [sys.executable, "-c", HELP_OF_ALL, *HEAVY]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_docstring_and_the_flags(name, capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main([name, "--help"])
    output, errors = capsys.readouterr()
    module = sys.modules[f"darac_tf.commands.{name}"]
    assert output.startswith(module.__doc__.splitlines()[0]) and not errors
    assert f"\n    darac {name} " in module.__doc__ and "\n  --verbosity: " in output


def test_tensorflow_starts_without_packages_that_only_keras_asks_for(run_command):
    left_out = "import sys; print({'sklearn', 'matplotlib'} & set(sys.modules)); "
    there = "import sklearn.base, matplotlib.pyplot, keras; print(keras.Model.__name__)"
    status, output, last = run_command("-c", left_out + there, bare=True)
    assert (status, output.split("\n")[:2]) == (0, ["set()", "Model"]), last


def test_what_an_import_makes_is_kept_from_the_garbage_collector():
    before = gc.get_freeze_count()
    with cli._kept_for_good():
        made = [[] for _ in range(1000)]
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)
    gc.disable()
    try:
        with cli._kept_for_good():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_reader_that_has_gone():
    command = [sys.executable, "-m", "darac_tf.commands", "train", "--help"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == 141 and not done.stderr
