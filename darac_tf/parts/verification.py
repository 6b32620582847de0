"""Whether parts hold each id of their manifest exactly once, as a vector or as a dead letter."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tqdm import tqdm

from darac_tf.errors import UserError
from darac_tf.parts.manifest import Manifest
from darac_tf.parts.part_files import Layout, Parts, dead_letters, fault_of_part
from darac_tf.threads import look_ahead

_THREADS = 8


class Verified(NamedTuple):
    """What parts hold."""

    described: int
    dead: int
    faults: list  # A line for each id that is not there once, or part that is not whole.


def verify(folder, manifest=None, show=True):
    """Compares the ids of all parts with those of the manifest; a `Verified`.

    Args:
        folder: Of the parts.
        manifest: Path of the manifest; None takes the one they were made from.
        show: Whether to show a progress bar.

    Raises:
        UserError: If there are no parts, or the manifest is not there or another one.
    """
    layout = Layout.read(folder)
    listed = Manifest(manifest or layout.manifest_path)
    if listed.fingerprint != layout.manifest:
        raise UserError(f"--manifest: {listed.path} is not what {folder} was made from")
    parts = Parts(folder, layout, [0] * len(layout))

    def held(part):
        if (fault := fault_of_part(folder, layout, part)) is not None:
            return f"{parts.path(part)} {fault or 'is missing'}", [], []
        try:
            return None, parts.ids(part), [name for name, *_ in dead_letters(folder, part)]
        except UserError as error:
            return str(error), [], []

    described = dead = 0
    faults = []
    with ThreadPoolExecutor(_THREADS) as pool, tqdm(total=len(layout), disable=not show) as bar:
        found = look_ahead(pool, held, range(len(layout)), _THREADS)
        for part, (fault, ids, letters) in enumerate(found):
            described, dead = described + len(ids), dead + len(letters)
            if fault is None:
                names = [name for name, _ in listed.rows(*layout.rows_of(part))]
                faults += _differences(parts.path(part), names, Counter(ids + letters))
            else:
                faults.append(fault)
            bar.update()
    return Verified(described, dead, faults)


def _differences(path, names, found):
    """A line for each id of a part that is not there once."""
    for name in names:
        if (times := found.pop(name, 0)) != 1:
            yield f"{path}: the id {name!r} is there {times} times"
    for name in found:
        yield f"{path}: the id {name!r} is of no row of this part"
