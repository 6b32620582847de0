"""The vectors that are compared, made of stored descriptors block by block as they are read."""

import numpy as np

from darac_tf.describing.combination import combine_resolutions, whiten, whitening_arrays


class Vectors:
    """Descriptors of several resolutions combined, and whitened if wanted, without a copy of all.

    Reads like a float32 array `(images, dim)`: `shape`, `dtype`, `len`, and indexing by a slice or
    an integer array along the first axis, which gives a new array of unit vectors. It is computed
    by NumPy alone, so that many threads may read at once.

    Args:
        parts: Non-empty list of array-likes `(images, channels)`, one a resolution.
        mode: See `combine_resolutions`.
        exponent: See `combine_resolutions`.
        whitening: `whitening.Whitening` to apply after, or None.
        rows: int `(images,)`, which rows of the parts are meant; None for all in their order.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, parts, mode="sum", exponent=None, whitening=None, rows=None):
        self._parts = parts
        self._combination = (mode, exponent)
        self._whitening = whitening
        self._rows = np.arange(parts[0].shape[0]) if rows is None else np.asarray(rows)
        channels, self._arrays = parts[0].shape[1], None
        if whitening is not None:
            self._arrays = whitening_arrays(whitening, channels)
            channels = whitening.projection.shape[0]
        self.shape = (len(self._rows), channels)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, item):
        rows = self._rows[item]
        if not len(rows):
            return np.empty((0, self.shape[1]), np.float32)
        combined = combine_resolutions([part[rows] for part in self._parts], *self._combination)
        return combined if self._arrays is None else whiten(combined, *self._arrays)

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("Vectors are computed when they are read. Received: copy=False")
        return self[:].astype(dtype or self.dtype, copy=False)

    def in_memory(self):
        """These vectors as one array, where all that they are made of is in memory; else self."""
        return self[:] if all(type(part) is np.ndarray for part in self._parts) else self

    def of(self, rows):
        """The same vectors of some of the images, `(len(rows),)`."""
        mode, exponent = self._combination
        return Vectors(self._parts, mode, exponent, self._whitening, self._rows[rows])

    def whitened(self, whitening):
        """The same vectors with a whitening after them."""
        return Vectors(self._parts, *self._combination, whitening, self._rows)
