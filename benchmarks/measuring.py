"""What benchmarks measure with and on: memory, processes of their own, made-up data.

Without TensorFlow, for those who do without.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.rows import unit_rows

_IMAGES_PER_CLASS = 4
_CHUNK_ROWS = 8192


def resident_mib(pid="self"):
    """Resident memory now (VmRSS), in MiB."""
    return status_mib("VmRSS", pid)


def peak_mib(pid="self"):
    """The most it ever was (VmHWM), in MiB."""
    return status_mib("VmHWM", pid)


def status_mib(name, pid="self"):
    """A line of /proc/PID/status, such as VmHWM, in MiB.

    Raises:
        ValueError: If there is none of that name.
    """
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 2**10
    raise ValueError(f"A running process has {name}. Received: pid {pid}")


def figures_of(module, *arguments):
    """Runs `python -m MODULE ARGUMENTS`; what it prints last, as JSON, are its figures.

    In a process of its own memory is that of one thing alone.

    Raises:
        UserError: If it fails, with the last line that it said.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return json.loads(done.stdout.splitlines()[-1])


def seconds_of(call, repeats):
    """Seconds of each of some calls, after one that is not counted."""
    call()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


def random_batch(count, side):
    """Random images to time a training step on, and their labels, four images of one.

    Images are float32 `(count, side, side, 3)` in [0, 255], labels int32 `(count,)`.
    """
    shape = count, side, side, 3
    images = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    return images, (np.arange(count) // _IMAGES_PER_CLASS).astype(np.int32)


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
