"""Runs the project's commands in forks of one process, which has imported TensorFlow once.

    python -m tests.commands

reads a JSON list a line from standard input: the folder to run in, a script or module, and its
arguments; and answers with `[exit status, standard output, last line of standard error]`.
"""

import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent


class Commands:
    """A context manager that starts the process."""

    def __enter__(self):
        command = [sys.executable, "-m", "tests.commands"]
        self._process = subprocess.Popen(
            command, cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_):
        self._process.communicate(timeout=60)

    def run(self, *command, folder=_REPOSITORY):
        """`(exit status, standard output, last line of standard error)` of a command."""
        self._process.stdin.write(json.dumps([str(word) for word in (folder, *command)]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _answer(folder, command):
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os.chdir(folder)
            _run_and_exit(command)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [file.seek(0) or file.read() for file in (output, errors)]
    return status, texts[0], (texts[1].strip().splitlines() or [""])[-1]


def _run_and_exit(command):
    """Runs a command, and ends this process without clearing what was imported."""
    if command[0].endswith(".py"):
        command[0] = str(_REPOSITORY / command[0])
    sys.argv = command
    run = runpy.run_path if command[0].endswith(".py") else runpy.run_module
    status = 0
    try:
        run(command[0], run_name="__main__")
    except SystemExit as error:
        status = error.code or 0
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    # What takes the time.
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import darac_tf.evaluation
    import darac_tf.models  # noqa: F401

    gc.freeze()
    for line in sys.stdin:
        folder, *command = json.loads(line)
        print(json.dumps(_answer(folder, command)), flush=True)
