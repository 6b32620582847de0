"""Memory that is given back to the system: pages of memory maps, and of the heap."""

import ctypes
import functools
import mmap
import os
import re
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError

_SMALL = 128 << 20
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "KiB", "MiB", "GiB", "TiB"))}


def parse_bytes(text, flag="--memory"):
    """Reads a size such as "8GiB", "500 MB" or "4096", in bytes; `UserError` for anything else.

    >>> parse_bytes("1.5KiB")
    1536
    """
    units = _UNITS | {unit.replace("iB", "B"): 1000**p for p, unit in enumerate(_UNITS) if unit}
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]i?B)?", text.strip())
    if not found or not float(found[1]):
        raise UserError(f"{flag}={text}: give a size such as 8GiB or 500MB")
    return int(float(found[1]) * units[found[2] or ""])


def readable_bytes(count):
    """Bytes as text with three digits.

    >>> readable_bytes(8 << 30)
    '8 GiB'
    """
    power = min(4, max(0, (max(1, int(count)).bit_length() - 1) // 10))
    unit = list(_UNITS)[power] or "bytes"
    return f"{count / 1024**power:.3g} {unit}" if power else f"{int(count)} bytes"


def free_bytes(limit=None):
    """Bytes that the process may take: up to a limit of all that it holds, None for the machine's.

    What a process holds includes files it has mapped. Without `/proc`, half of the machine's
    memory.
    """
    try:
        if limit is not None:
            return limit - _kilobytes("/proc/self/status", "VmRSS") * 1024
        return _kilobytes("/proc/meminfo", "MemAvailable") * 1024
    except (OSError, KeyError):
        everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return limit or everything // 2


def _kilobytes(path, name):
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)[name].split()[0])


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


def release_part(array, start, stop):
    """`release`, for arrays that hold more than 128 MiB.

    Those who read smaller ones part by part read them again soon, and mapping pages again takes as
    long as working with them.
    """
    if isinstance(array, np.ndarray) and array.nbytes > _SMALL:
        release(array, start, stop)


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
