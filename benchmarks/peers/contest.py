"""Contestants in processes of their own, which take turns."""

import contextlib
import importlib
import multiprocessing
import time

from benchmarks.process_memory import peak_mib
from darac_tf.errors import UserError


class AbsentError(Exception):
    """What a contestant needs is not installed; the text says what."""


class Contestant:
    """A process that describes images when it is asked to.

    Args:
        name: For the table.
        factory: `MODULE:NAME` of a function of `settings` to an object whose method
            `describe(sizes, count)` describes the first images at long sides and combines them. It
            raises `AbsentError` where something is not installed.
        settings: Dictionary for it.

    Attributes:
        absent: What is missing, or None.
    """

    def __init__(self, name, factory, settings):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # Not a daemon: those may not start processes of their own, as torch's loaders do.
        self._process = context.Process(target=serve, args=(theirs, factory, settings))
        self._process.start()
        theirs.close()
        self.absent = self._answer()

    def seconds(self, sizes, count):
        """Seconds to describe the first images once at all sizes."""
        self._connection.send((list(sizes), count))
        return self._answer()

    def close(self):
        """Ends the process, and gives the most memory it ever had, in MiB."""
        self._connection.send(None)
        peak = self._answer()
        self._process.join()
        return peak

    def _answer(self):
        try:
            return self._connection.recv()
        except EOFError as error:
            raise UserError(f"{self.name}: its process ended; see above") from error


def serve(connection, factory, settings):
    """Of the process: answers requests until it is sent None, or nobody is left to ask."""
    module, name = factory.split(":")
    try:
        contestant = getattr(importlib.import_module(module), name)(**settings)
    except AbsentError as absent:
        contestant = None
        connection.send(str(absent))
    else:
        connection.send(None)
    with contextlib.suppress(EOFError):
        while (what := connection.recv()) is not None:
            started = time.perf_counter()
            contestant.describe(*what)
            connection.send(time.perf_counter() - started)
        connection.send(peak_mib())
