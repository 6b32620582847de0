"""A folder of files for `StandIn`, and what an index says of it."""

import os

import numpy as np

from darac_tf.search import Index, update, writing
from tests.search.small_model import StandIn, vector_of

# Long ago, so that the time of the last change is trusted.
_SETTLED_NS = 1_600_000_000 * 10**9


def write_file(path, content, seconds=0):
    """Writes a file that was changed `seconds` after a moment long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    time_ns = _SETTLED_NS + seconds * 10**9
    os.utime(path, ns=(time_ns, time_ns))
    return path


def run(index, *folders, model=None, verify=False, **options):
    """Updates an index; returns `Changes`, and the contents that a `StandIn` described."""
    model = model or StandIn()
    with writing(index, model, verify) as opened:
        changes = update(opened, model, folders, progress=False, **options)
    return changes, getattr(model, "described", None)


def damage(index, row, vector):
    """Writes another vector over a row of an index, whose checksum stays."""
    with (index / "vectors-1" / "rows.f32").open("r+b") as file:
        file.seek(row * vector.nbytes)
        file.write(vector.tobytes())


def entries(index):
    """Every file of an index with its vector, as a dictionary of path string to array."""
    found = {}
    with Index(index) as opened:
        keys, rows = opened.live()
        vectors = np.array(opened.vectors(rows)[:])  # a copy: the file may be damaged later
        for key, vector in zip(keys, vectors, strict=True):
            for path in opened.files.paths(key.tobytes()):
                found[os.fsdecode(path)] = vector
    return found


def assert_same(found, expected):
    """Compares two results of `entries`."""
    assert sorted(found) == sorted(expected)
    for path, vector in expected.items():
        np.testing.assert_array_equal(found[path], vector)


def expected(folder):
    """What an index of a folder must hold, by a plain loop."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    return {
        str(path): vector_of(path.read_bytes())
        for path in files
        if not path.read_bytes().startswith(b"bad")
    }
