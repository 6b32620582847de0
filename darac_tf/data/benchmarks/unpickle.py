"""Reads ground-truth pickles from strangers: nothing in the file can make Python run anything."""

from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.unpickling import PlainUnpickler, Refused, WholeLines, one_line

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
        UserError: If the file can't be read, is damaged, too large or takes more than 2,000,000
            steps to build, or asks for anything but plain data (a function, a class, a persistent
            id, an extension code, a buffer), which the message names. Nothing of it has been run.
    """
    data = read_bounded(path)
    try:
        return PlainUnpickler(WholeLines(data)).load()
    except Refused as error:
        raise UserError(
            f"{path}: refused, because the pickle asks for {one_line(error)}; ground truth holds "
            "lists, dicts, strings and numbers only: fetch it from its official page, or use its "
            ".mat form"
        ) from error
    # Damaged pickles raise errors of many kinds.
    except Exception as error:
        raise UserError(
            f"{path}: not a complete pickle ({one_line(f'{type(error).__name__}: {error}')}); "
            "fetch the file again"
        ) from error


def read_bounded(path):
    """The bytes of a file; a `UserError` if it can't be read or has more than `MAX_BYTES`."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the file") from error
    if len(data) > MAX_BYTES:
        size = f"{MAX_BYTES // 2**20} MiB"
        raise UserError(f"{path}: larger than {size}, which no ground truth is; fetch it again")
    return data
