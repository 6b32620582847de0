"""Runs a study as `python -m studies.X` does, in this process: TensorFlow is loaded already."""

import contextlib
import io
import runpy
import sys

import numpy as np
from absl import flags
from PIL import Image


def run_study(name, *arguments):
    """The exit status of a study: 0, or the line of a mistake, `error: ...`."""
    known = set(flags.FLAGS)
    argv, sys.argv = sys.argv, [f"studies/{name}.py", *map(str, arguments)]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            runpy.run_module(f"studies.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        return said.getvalue().strip().splitlines()[-1] if error.code == 1 else error.code or 0
    finally:
        sys.argv = argv
        # Studies share names of flags, which one process may define once.
        for flag in set(flags.FLAGS) - known:
            if flag in flags.FLAGS:
                delattr(flags.FLAGS, flag)
        flags.FLAGS.unparse_flags()
    return 0


def first_directions(make, vectors, labels, batches, rates, dim, points, class_rate):
    """In place of `heads.train_heads`, whose steps take their time to trace: nothing is learned."""
    assert batches.max() < len(vectors) == len(labels) and batches.shape[1] == points[-1]
    assert class_rate > 0 and make(0)(labels, vectors[:, :dim]) >= 0
    head = np.eye(vectors.shape[1], dim, dtype=np.float32)
    for _ in points:
        yield np.broadcast_to(head, (len(rates), len(batches), *head.shape))


def png_size(path):
    """`(width, height)` of a picture, all of it read."""
    with Image.open(path) as image:
        image.load()
        return image.size
