"""Memory of a process, as Linux counts it."""

from pathlib import Path


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
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 2**10
    raise ValueError(f"A running process has {name}. Received: pid {pid}")
