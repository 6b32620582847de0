"""Runs the project's commands in forks of processes that have imported TensorFlow and not used it.

They are forks themselves, of the process that runs tests before it has collected any: importing,
which takes the time of a command, is done once for all tests.
"""

import gc
import multiprocessing
import os
import runpy
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from darac_tf.cli import start_tensorflow

_REPOSITORY = Path(__file__).resolve().parent.parent


class Commands:
    """Starts the processes; to be made before TensorFlow starts threads, which no fork has."""

    def __init__(self):
        start_tensorflow()
        self._bare = _start()
        import keras  # noqa: F401

        import darac_tf.evaluation
        import darac_tf.export
        import darac_tf.reports
        import darac_tf.serving
        import darac_tf.training  # noqa: F401

        self._full = _start()

    def run(self, *command, folder=_REPOSITORY, bare=False):
        """`(exit status, standard output, last line of standard error)` of a command.

        Args:
            *command: A script or module (or `-c` and a program), and its arguments.
            folder: Where it runs.
            bare: In a process that has imported TensorFlow, as commands do, and nothing else of
                what makes the library's layers known.
        """
        _, connection = self._bare if bare else self._full
        connection.send((folder, [str(word) for word in command]))
        return connection.recv()

    def end(self):
        # The later has the earlier's connection too.
        for process, connection in (self._full, self._bare):
            connection.close()
            os.waitpid(process, 0)


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
    warnings.simplefilter("ignore")  # Those of pytest are errors.
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


def _start():
    """Forks a process that answers what it is sent: its number, and the connection to it."""
    ours, theirs = multiprocessing.Pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        # From Python 3.12 on: of threads, which here have nothing to do with what is forked.
        warnings.simplefilter("ignore")
        process = os.fork()
    if process:
        theirs.close()
        return process, ours
    ours.close()
    gc.freeze()
    try:
        while True:
            theirs.send(_answer(*theirs.recv()))
    except EOFError:
        os._exit(0)
