"""Reads MATLAB files, and ground truth from them into the same form that the pickles have."""

import io
import struct
import zlib

import numpy as np
from scipy.io import loadmat

from darac_tf.data.benchmarks.unpickle import read_bounded
from darac_tf.errors import UserError
from darac_tf.unpickling import one_line

MAX_INFLATED = 256 * 2**20
_COMPRESSED = 15  # the tag of a compressed variable in MAT-file version 5


def load_ground_truth_mat(path):
    """Reads `gnd_*.mat`, a MAT-file of version 5 to 7, into what the pickle of that name holds.

    Dict with the lists `imlist` and `qimlist` of names, `gnd` of dicts per query (lists of image
    numbers; `bbx` as numbers) and, if the file has it, `qidx`, the queries' rows in `imlist`.
    Numbers count from 0, those of the file from 1. `UserError` if it can't be read or hasn't that
    form.
    """
    variables = read_mat(path)
    try:
        return _plain(variables)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not in the form of gnd_*.mat (imlist, gnd, and qidx or qimlist): "
            f"{one_line(error)}; fetch it again"
        ) from error


def read_mat(path):
    """The variables of a MAT-file of version 5 to 7; `UserError` if it can't be read as one."""
    data = read_bounded(path)
    _check_container(path, data)
    try:
        return loadmat(io.BytesIO(data))
    # SciPy's reader raises many kinds of errors for damaged files.
    except Exception as error:
        raise UserError(
            f"{path}: can't be read as a MATLAB file ({one_line(error)}); fetch it again"
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
    return {
        name: entry[name].ravel().tolist() if name == "bbx" else _from_zero(entry[name])
        for name in entry.dtype.names
    }


def _names(cells):
    return ["".join(cell.ravel().tolist()) for cell in cells.ravel()]


def _from_zero(array):
    # MATLAB's numbers are doubles unless told otherwise.
    numbers = array.ravel()
    if numbers.dtype.kind not in "uif" or not np.isfinite(numbers).all():
        raise ValueError("an image number that is none")
    whole = numbers.astype(np.int64)
    if not np.array_equal(whole, numbers):
        raise ValueError("an image number that is not whole")
    return (whole - 1).tolist()


def _check_container(path, data):
    """Refuses what is no MAT-file of version 5, and files that unpack to an absurd size."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise UserError(
            f"{path}: not a MATLAB file of version 5 to 7; fetch it again, or save it with -v7"
        )
    place, room = 128, MAX_INFLATED
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}2I", data, place)
        chunk, place = data[place + 8 : place + 8 + size], place + 8 + size
        if kind == _COMPRESSED:
            try:
                room -= len(zlib.decompressobj().decompress(chunk, room + 1))
            except zlib.error as error:
                raise UserError(f"{path}: damaged ({one_line(error)}); fetch it again") from error
        if room < 0:
            raise UserError(
                f"{path}: unpacks to more than {MAX_INFLATED // 2**20} MiB, which no ground truth "
                "does; fetch it again"
            )
