"""Leaving on SIGTERM after the step at hand, with a checkpoint."""

import contextlib
import signal
import threading


class Termination:
    """Attributes: requested: bool, whether the process was asked to end."""

    requested = False


@contextlib.contextmanager
def on_termination():
    """Yields a `Termination`; within it, SIGTERM asks instead of killing.

    Outside the main thread, where Python allows no handlers, SIGTERM kills as ever.
    """
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return

    def ask(*_):
        termination.requested = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, before)
