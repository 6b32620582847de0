"""Small layouts and columns of parts."""

import hashlib

import numpy as np

from darac_tf.parts.part_files import Layout

MODEL = {"model": "m" * 32, "manifest": "f" * 32, "manifest_path": "M.csv", "facts": {}}


def layout_of(rows=10, part_rows=4, dim=6, dtype="float32", **changes):
    values = {"dim": dim, "dtype": dtype, "part_rows": part_rows, "rows": rows}
    return Layout(**MODEL | values | changes)


def columns_of(rows, dim=6, seed=0):
    """Columns of images with the given numbers, drawn vectors among them."""
    rows = list(rows)
    vectors = np.random.default_rng(seed).normal(size=(4000, dim)).astype(np.float32)[rows]
    names = [f"image {row}" for row in rows]
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    numbers = {"bytes": [100 + row for row in rows], "width": [8] * len(rows)}
    return {"id": names, "vector": vectors, "sha256": digests, **numbers, "height": [9] * len(rows)}
