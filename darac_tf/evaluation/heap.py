"""Giving freed memory back to the system."""

import ctypes
import functools


def trim_heap():
    """Returns free pages of the heap to the system; does nothing where the C library cannot.

    glibc keeps what TensorFlow frees in pools, one for each few threads, and pixels of ever other
    sizes leave gaps there: without this, the memory of a long extraction grows with the number of
    images although nothing holds on to them.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim():
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
