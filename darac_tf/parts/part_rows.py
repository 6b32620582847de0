"""Vectors of parts as what searches and whitenings read by slices, without keeping any of them."""

import numpy as np

from darac_tf.memory import release
from darac_tf.rows import LazyRows


class PartRows(LazyRows):
    """Reads like a float32 array `(rows, dim)`; what was read is let go of at once.

    Args:
        parts: `part_files.Parts`.
    """

    def __init__(self, parts):
        self._parts = parts
        self.shape = parts.rows, parts.dim

    def __getitem__(self, item):
        if not isinstance(item, slice):
            found = self._parts.read(item)
            self._release(np.searchsorted(self._parts.offsets, np.unique(item), side="right") - 1)
            return found
        start, stop, step = item.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"Slices have the step 1. Received: {step}")
        found = np.empty((max(0, stop - start), self.shape[1]), np.float32)
        offsets = self._parts.offsets
        touched = range(
            int(np.searchsorted(offsets, start, side="right")) - 1,
            int(np.searchsorted(offsets, stop, side="left")),
        )
        for part in touched if start < stop else ():
            first, last = max(start, offsets[part]), min(stop, offsets[part + 1])
            rows = self._parts.vectors(part)[first - offsets[part] : last - offsets[part]]
            found[first - start : last - start] = rows
            release(rows)
        return found

    def _release(self, parts):
        for part in np.unique(parts):
            release(self._parts.vectors(part))
