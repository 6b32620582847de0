"""Memory that is given back to the system: pages of memory maps, and of the heap."""

import ctypes
import functools
import mmap

import numpy as np


def release(array, start=0, stop=None):
    """Lets go of the pages behind rows of an array that lies in a memory-mapped file.

    The file stays in the system's cache, and the array stays valid: what is read again is mapped
    again. Without this, a pass over a memory map leaves all of it in the resident memory of the
    process. Does nothing for anything but a C-contiguous `numpy.memmap` or a view of one, for maps
    opened with mode "c", whose changes live in these pages only, and on systems without `madvise`.
    """
    mapping = _shared_mapping(array)
    if mapping is None or not hasattr(mapping, "madvise"):
        return
    rows = array[start:stop]
    if rows.size == 0:
        return
    place = rows.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    # Whole pages: what is unmapped of the neighbours is only mapped again.
    first = place // mmap.PAGESIZE * mmap.PAGESIZE
    mapping.madvise(mmap.MADV_DONTNEED, first, place + rows.nbytes - first)


def _shared_mapping(array):
    """The `mmap.mmap` that holds the array's memory, or None where it may not be let go of."""
    is_shared = False
    while isinstance(array, np.ndarray):
        is_shared |= isinstance(array, np.memmap) and array.mode in ("r", "r+", "w+")
        array = array.base
    return array if is_shared and isinstance(array, mmap.mmap) else None


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
