"""Reads ground truth from MATLAB files into the same form that the pickles have."""

import io
import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from darac_tf.data.benchmarks.unpickle import one_line, read_bounded
from darac_tf.errors import UserError

MAX_INFLATED = 256 * 2**20
_COMPRESSED = 15  # the tag of a compressed variable in MAT-file version 5


def load_ground_truth_mat(path):
    """Reads `gnd_*.mat`: what the pickle of the same name holds.

    Args:
        path: A MAT-file of version 5 to 7 with `imlist`, `gnd`, and `qidx` or `qimlist`, where
            image numbers count from 1.

    Returns:
        Dict with the lists `imlist` and `qimlist` of names, `gnd` of dicts per query (lists of
        image numbers that count from 0; `bbx` as numbers) and, if the file has it, `qidx`, the
        queries' rows in `imlist`, from 0.

    Raises:
        UserError: If the file can't be read or hasn't that form.
    """
    path = Path(path)
    data = read_bounded(path)
    _check_container(path, data)
    try:
        variables = loadmat(io.BytesIO(data))
    # SciPy's reader raises many kinds of errors for damaged files, none of them for a reason that
    # lies in this program.
    except Exception as error:
        raise UserError(
            f"{path}: can't be read as a MATLAB file ({one_line(error)}); fetch it again"
        ) from error
    try:
        return _plain(variables)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not in the form of gnd_*.mat (imlist, gnd, and qidx or qimlist): "
            f"{one_line(error)}; fetch it again"
        ) from error


def _plain(variables):
    truth = {"imlist": _names(variables["imlist"])}
    if "qidx" in variables:
        truth["qidx"] = _from_zero(variables["qidx"])
        outside = [row for row in truth["qidx"] if not 0 <= row < len(truth["imlist"])]
        if outside:
            raise ValueError(f"qidx lists image {outside[0] + 1} of {len(truth['imlist'])}")
        truth["qimlist"] = [truth["imlist"][row] for row in truth["qidx"]]
    if "qimlist" in variables:
        truth["qimlist"] = _names(variables["qimlist"])
    truth["gnd"] = [_query(entry) for entry in variables["gnd"].ravel()]
    return truth


def _query(entry):
    lists = {name: entry[name] for name in entry.dtype.names}
    return {
        name: array.ravel().tolist() if name == "bbx" else _from_zero(array)
        for name, array in lists.items()
    }


def _names(cells):
    return ["".join(cell.ravel().tolist()) for cell in cells.ravel()]


def _from_zero(array):
    # MATLAB's numbers are doubles unless told otherwise.
    numbers = np.asarray(array).ravel()
    if numbers.dtype.kind not in "uif" or not np.isfinite(numbers).all():
        raise ValueError("an image number that is none")
    whole = numbers.astype(np.int64)
    if not np.array_equal(whole, numbers):
        raise ValueError("an image number that is not whole")
    return (whole - 1).tolist()


def _check_container(path, data):
    """Refuses what is no MAT-file of version 5, and files that unpack to an absurd size."""
    order = {b"IM": "little", b"MI": "big"}.get(data[126:128])
    if order is None:
        raise UserError(
            f"{path}: not a MATLAB file of version 5 to 7; fetch it again, or save it with -v7"
        )
    place, inflated = 128, 0
    while place + 8 <= len(data):
        kind = int.from_bytes(data[place : place + 4], order)
        size = int.from_bytes(data[place + 4 : place + 8], order)
        if kind == _COMPRESSED:
            inflated += _inflated_size(path, data[place + 8 : place + 8 + size], inflated)
        place += 8 + size


def _inflated_size(path, chunk, before):
    inflater = zlib.decompressobj()
    try:
        size = len(inflater.decompress(chunk, MAX_INFLATED - before))
    except zlib.error as error:
        raise UserError(f"{path}: damaged ({one_line(error)}); fetch it again") from error
    if inflater.unconsumed_tail:
        raise UserError(
            f"{path}: unpacks to more than {MAX_INFLATED // 2**20} MiB, which no ground truth "
            "does; fetch it again"
        )
    return size
