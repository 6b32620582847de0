"""How long the parts of a command take, for whoever asks with `--verbosity=1`."""

import contextlib
import logging
import time

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def phase(name):
    """Logs, as a line for debugging, the seconds that a block took, under a name."""
    started = time.perf_counter()
    yield
    _LOG.debug("%s: %.2f s", name, time.perf_counter() - started)
