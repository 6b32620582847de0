"""Contestants in processes of their own, which take turns at one task."""

import contextlib
import importlib
import importlib.util
import multiprocessing
import sys
import time
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.measuring import peak_mib
from darac_tf.errors import UserError

# Before each turn: threads of the one before that wait for work in a loop, as OpenBLAS's do for
# some hundredths of a second, would take the processor from this one.
_PAUSE_S = 0.1


class AbsentError(Exception):
    """What a contestant needs is not there; the text says what."""


class Task(NamedTuple):
    """What contestants are asked to do.

    Attributes:
        title: For the table, with the unit.
        contestants: Dictionary of name to `(factory, settings)`, see `Contestant`; the first is
            the base, which the others are compared with.
        request: Arguments of their `run`.
        count: What the seconds are divided by, such as the number of images.
        work: Multiply-adds of one of these, see `peak`; 0 where contestants differ too much.
    """

    title: str
    contestants: dict
    request: tuple = ()
    count: int = 1
    work: int = 0


def taking_part(contestants, wanted):
    """The base, which is the first, and those that are wanted.

    Args:
        contestants: Dictionary of name to `(factory, settings)`.
        wanted: Function of a name to whether it takes part.
    """
    base = next(iter(contestants))
    return {name: how for name, how in contestants.items() if name == base or wanted(name)}


class Result(NamedTuple):
    """What came of a task.

    Attributes:
        title: That of the task.
        seconds: Dictionary of contestant to seconds, one a round, the base first.
        peaks: Dictionary of contestant to its peak memory, MiB.
        absent: Dictionary of contestant that was left out to what it lacks.
        work: That of the task.
    """

    title: str
    seconds: dict
    peaks: dict
    absent: dict
    work: int = 0


class Contestant:
    """A process that does its task whenever it is asked to; it ends with the `with` block.

    Args:
        name: For the table.
        factory: `MODULE:NAME` of a function of `settings` to an object whose method `run` does the
            task and returns when its results lie in the processor's memory. It raises
            `AbsentError` where something is not installed.
        settings: Dictionary for it.
    """

    def __init__(self, name, factory, settings):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # Not a daemon: those may not start processes of their own, as torch's loaders do.
        self._process = context.Process(target=serve, args=(theirs, factory, settings))
        self._process.start()
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()
        self._process.join(timeout=60)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def absent(self):
        """What is missing, or None; waits until the contestant is ready. To be asked once."""
        return self._answer()

    def seconds(self, *request):
        """Seconds to do the task once."""
        self._connection.send(request)
        return self._answer()

    def peak(self):
        """The most memory that its process ever had, in MiB."""
        self._connection.send(None)
        return self._answer()

    def _answer(self):
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise UserError(f"{self.name}: its process ended; see above") from error


def serve(connection, factory, settings):
    """Of the process: answers requests until nobody is left to ask."""
    module, name = factory.split(":")
    try:
        contestant = getattr(importlib.import_module(module), name)(**settings)
    except AbsentError as absent:
        connection.send(str(absent))
        return
    except UserError as error:
        sys.exit(f"error: {error}")
    with contextlib.suppress(EOFError, ConnectionError):
        connection.send(None)
        while True:
            request = connection.recv()
            if request is None:
                connection.send(peak_mib())
                continue
            started = time.perf_counter()
            contestant.run(*request)
            connection.send(time.perf_counter() - started)


def needed(module, package=None):
    """An optional module.

    Args:
        module: Its name.
        package: What pip calls it, where that differs.

    Raises:
        AbsentError: If it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise AbsentError(f"pip install {package or module}")
    return importlib.import_module(module)


def compete(task, repeats):
    """Lets the contestants of a task take turns, after a round that is not counted.

    Args:
        task: `Task`.
        repeats: Rounds that count.

    Returns:
        `Result`.

    Raises:
        UserError: If a process ends before its time, or the base lacks something.
    """
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(Contestant(name, *how)) for name, how in task.contestants.items()
        ]
        lacking = {each.name: each.absent() for each in started}
        absent = {name: what for name, what in lacking.items() if what is not None}
        running = [each for each in started if each.name not in absent]
        if running[:1] != started[:1]:
            raise UserError(f"{started[0].name}: {absent[started[0].name]}")
        seconds = np.zeros((len(running), 1 + repeats))
        with tqdm(total=seconds.size, desc=task.title, unit=" runs") as bar:
            for place in np.ndindex(1 + repeats, len(running)):
                time.sleep(_PAUSE_S)
                seconds[place[::-1]] = running[place[1]].seconds(*task.request) / task.count
                bar.update()
        names = [each.name for each in running]
        peaks = {each.name: each.peak() for each in running}
    counted = dict(zip(names, seconds[:, 1:].tolist(), strict=True))
    return Result(task.title, counted, peaks, absent, task.work)
