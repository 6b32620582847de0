"""All parts of a manifest, or a share of them: what is there is left, what is not is described."""

import contextlib
import random
import re
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from darac_tf.errors import UserError
from darac_tf.parts.part_files import LAYOUT, fault_of_part, remove_leftovers


class Outcome(NamedTuple):
    """What a run has done."""

    parts: int  # Of its share.
    found: int  # Of these, that were there and whole.
    images: int  # That were described.
    dead: int  # That can't be.


def share_of(text, parts):
    """The numbers of the parts that `i/n` means, i from 1 to n, as a range; of all if None.

    Shares of one n have no part in common, and all parts together. `UserError` if it is none.
    """
    if text is None:
        return range(parts)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise UserError(f"--part={text}: give i/n, i from 1 to n")
    return range((number - 1) * parts // count, number * parts // count)


def begin(folder, manifest, layout):
    """Prepares the folder of a run; what can be wrong with ids is found before it is written."""
    if not Path(folder, LAYOUT).exists():
        manifest.check()
    layout.begin(folder)
    remove_leftovers(folder)


def missing_parts(folder, layout, share):
    """Those parts of a share that are not there and whole, in an order of chance.

    Two drivers that were given the same parts so seldom work on the same one. `UserError` if one is
    of another model or manifest.
    """
    missing = [part for part in share if fault_of_part(folder, layout, part) is not None]
    random.shuffle(missing)
    return missing


@contextlib.contextmanager
def progress_bar(layout, share, missing, show):
    """Gives a function of counts of images and dead letters, which shows them as they come.

    Images a second, the time that is left, and how many can't be described.
    """
    total, left = (
        sum(stop - start for start, stop in map(layout.rows_of, parts))
        for parts in (share, missing)
    )
    failed = 0
    bar = tqdm(desc="describe", unit=" images", total=total, initial=total - left, disable=not show)

    def count(images, dead):
        nonlocal failed
        failed += dead
        bar.set_postfix(failed=failed, refresh=False)
        bar.update(images + dead)

    with bar:
        yield count


def run_here(describer, folder, share, show=True):
    """Describes what is missing of a share in this process; an `Outcome`.

    A part that another driver has written meanwhile is left. Errors are those of `PartDescriber`.
    """
    missing = missing_parts(folder, describer.layout, share)
    done = []
    with progress_bar(describer.layout, share, missing, show) as count:
        for part in missing:
            if fault_of_part(folder, describer.layout, part) is None:
                continue
            done.append(describer(part, count))
    return outcome(share, missing, done)


def outcome(share, missing, done):
    """The `Outcome` of a list of `Described`."""
    images, dead = (sum(getattr(each, name) for each in done) for name in ("images", "dead"))
    return Outcome(len(share), len(share) - len(missing), images, dead)
