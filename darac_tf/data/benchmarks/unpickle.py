"""Reads ground-truth pickles from strangers: nothing in the file can make Python run anything.

A pickle is a program for a small stack machine, and `pickle.loads` lets it import and call any
function. The machine here has only the instructions that build lists, dicts, tuples, sets,
strings, bytes, numbers, bools and None; whatever else a file asks for is refused by name.
"""

import warnings
from pathlib import Path

from darac_tf.data.benchmarks.pickle_machine import Machine, Refused
from darac_tf.errors import UserError

MAX_BYTES = 64 * 2**20


def load_ground_truth_pickle(path):
    """Reads a pickle of plain containers, strings and numbers.

    All protocols (0 to 5) and Python 2's pickles are read; Python 2's strings are taken as
    Latin-1. Keys of dicts and members of sets must be strings, bytes, numbers, bools or None;
    integers have at most 64 bits.

    Args:
        path: The pickle file, of at most 64 MiB.

    Returns:
        The object: dict, list, tuple, set, frozenset, str, bytes, int, float, bool or None, and
        those inside one another.

    Raises:
        UserError: If the file can't be read, is truncated or damaged, is too large or takes more
            than 2,000,000 steps to build, or asks for anything but plain data (a function, a
            class, a persistent id, an extension code, a buffer); the message names what it asks
            for. Nothing of it has been run then.
    """
    path = Path(path)
    data = read_bounded(path)
    try:
        # Unknown escapes in a protocol-0 string warn; they are kept as they stand.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Machine().run(data)
    except Refused as error:
        raise UserError(
            f"{path}: refused, because the pickle asks for {one_line(error)}; ground truth holds "
            "lists, dicts, strings and numbers only: fetch it from its official page, or use its "
            ".mat form"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{path}: not a complete pickle ({one_line(error)}); fetch the file again"
        ) from error


def read_bounded(path, limit=MAX_BYTES):
    """The bytes of a file of at most `limit` bytes.

    Raises:
        UserError: If it can't be read or is larger.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the file") from error
    if len(data) > limit:
        raise UserError(
            f"{path}: larger than {limit // 2**20} MiB, which no ground truth is; fetch it again"
        )
    return data


def one_line(text):
    """Text from an untrusted file, made printable: escaped, and cut at 100 characters."""
    escaped = str(text).encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= 100 else escaped[:97] + "..."
