"""Trimming the heap: freed memory goes back to the system, where the C library can do that."""

import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from darac_tf import memory


def _resident():
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or memory._malloc_trim() is None, reason="needs glibc"
)
def test_freed_memory_goes_back():
    # Small enough for the heap; every hundredth stays and so keeps the others from being returned.
    blocks = [np.ones(8_000) for _ in range(2_000)]
    kept = blocks[::100]
    kept.append(blocks[-1])
    del blocks
    memory.trim_heap()
    blocks = [np.ones(8_000) for _ in range(2_000)]
    full = _resident()
    kept += blocks[::100]
    kept.append(blocks[-1])
    del blocks
    memory.trim_heap()
    assert full - _resident() > 60e6


def test_nothing_happens_without_it(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)
    memory.trim_heap()
