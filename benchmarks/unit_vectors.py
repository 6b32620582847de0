"""Random unit vectors in a raw file, made chunk by chunk."""

import shutil

import numpy as np

from darac_tf.errors import UserError
from darac_tf.rows import unit_rows

_CHUNK_ROWS = 8192


def write_unit_vectors(path, rows, dim):
    """Writes float32 `(rows, dim)` unit vectors, the same ones every time.

    Args:
        path: `pathlib.Path` of the file, in a folder that exists.
        rows: Vectors.
        dim: Numbers of each.

    Raises:
        UserError: If there is no space for them.
    """
    n_bytes = 4 * rows * dim
    if shutil.disk_usage(path.parent).free < n_bytes:
        raise UserError(f"no {n_bytes / 1e9:.1f} GB free for {path}: name another disk's file")
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, rows, _CHUNK_ROWS):
            n = min(_CHUNK_ROWS, rows - start)
            unit_rows(rng.standard_normal((n, dim), np.float32)).tofile(file)
