"""What a measurement depends on besides its settings: versions, revision and hardware."""

import contextlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

_PACKAGE = Path(__file__).resolve().parent.parent
# One library is distributed under several names.
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
_DISTRIBUTIONS = {
    "opencv": (*_OPENCV, "opencv-contrib-python-headless"),
    "scikit_learn": ("scikit-learn",),
    "openvino": ("openvino",),
    "faiss": ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12"),
}


def environment():
    """Describes where and with what a measurement was made.

    Returns:
        Dict, ready for JSON: versions of "python", "tensorflow", "keras" and "numpy"; of "opencv",
        "scikit_learn", "openvino" and "faiss", None where they are not installed;
        "darac_git_revision", None where this package is not a git checkout; "platform"; and the
        hardware: "cpu" (model name, None where the system does not tell), "cpu_count",
        "memory_bytes" (None likewise) and "gpus" (list of names).
    """
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        **{library: _version(names) for library, names in _DISTRIBUTIONS.items()},
        "darac_git_revision": git_revision(_PACKAGE),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "gpus": _gpu_names(),
    }


def git_revision(folder):
    """The commit checked out in a folder, 40 hexadecimal digits; None without git or a checkout.

    The folder lies directly below the root of the checkout: one further up is another project's
    that merely contains this one.
    """
    folder = Path(folder).resolve()
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    root, revision = done.stdout.splitlines()
    return revision if Path(root) == folder.parent else None


def cpu_name(cpuinfo="/proc/cpuinfo"):
    """The processor's model name; None where the system does not tell.

    From a file as Linux's /proc/cpuinfo; where it is missing, or has no model name (as on ARM), the
    name that Python knows is taken.
    """
    try:
        lines = Path(cpuinfo).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fields = (line.partition(":") for line in lines)
    names = (value.strip() for key, _, value in fields if key.strip() == "model name")
    return next(names, "") or platform.processor() or None


def _version(names):
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return None


def _memory_bytes():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None  # not a POSIX system


def _gpu_names():
    devices = tf.config.list_physical_devices("GPU")
    details = (tf.config.experimental.get_device_details(device) for device in devices)
    return [detail.get("device_name", "unknown GPU") for detail in details]
