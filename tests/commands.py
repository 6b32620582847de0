"""Runs the project's commands in forks of one process, which has imported TensorFlow once.

    python -m tests.commands

reads a JSON list a line from standard input: whether the process may know the library's layers, the
folder to run in, a script or module (or `-c` and a program), and its arguments; and answers with
`[exit status, standard output, last line of standard error]`.
"""

import gc
import json
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from darac_tf.cli import start_tensorflow

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

    def run(self, *command, folder=_REPOSITORY, bare=False):
        """`(exit status, standard output, last line of standard error)` of a command.

        `bare`: in a process that has imported TensorFlow, as commands do, and nothing else.
        """
        words = [str(word) for word in (folder, *command)]
        self._process.stdin.write(json.dumps([bare, *words]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _answer(folder, command):
    how = {"mode": "w+", "encoding": "utf-8"}
    with tempfile.TemporaryFile(**how) as output, tempfile.TemporaryFile(**how) as errors:
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
    status = 0
    try:
        if command[0] == "-c":
            sys.argv = ["-c", *command[2:]]
            exec(command[1], {"__name__": "__main__"})
        else:
            run = runpy.run_path if command[0].endswith(".py") else runpy.run_module
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


def _start_bare():
    """Forks a process that answers what it is sent; returns the connection to it."""
    ours, theirs = multiprocessing.Pipe()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    try:
        while True:
            theirs.send(_answer(*theirs.recv()))
    except EOFError:
        os._exit(0)


if __name__ == "__main__":
    # What takes the time.
    start_tensorflow()
    bare_process = _start_bare()
    import keras  # noqa: F401

    import darac_tf.evaluation
    import darac_tf.export
    import darac_tf.reports
    import darac_tf.serving
    import darac_tf.training  # noqa: F401

    gc.freeze()
    for line in sys.stdin:
        bare, folder, *command = json.loads(line)
        if bare:
            bare_process.send((folder, command))
            answer = bare_process.recv()
        else:
            answer = _answer(folder, command)
        print(json.dumps(answer), flush=True)
