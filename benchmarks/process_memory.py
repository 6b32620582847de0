"""Memory of a process, as Linux counts it."""

from pathlib import Path


def resident_mib(pid="self"):
    """Resident memory now (VmRSS), in MiB."""
    return _field(pid, "VmRSS:")


def peak_mib(pid="self"):
    """The most it ever was (VmHWM), in MiB."""
    return _field(pid, "VmHWM:")


def _field(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 2**10
    raise ValueError(f"A running process has {name} Received: pid {pid}")
