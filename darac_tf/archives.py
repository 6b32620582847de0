"""Arrays with their provenance in a `.npz` file, without pickled objects."""

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from darac_tf.files import atomic_path

# What NumPy, zipfile and json raise for files that are damaged or something else. RuntimeError
# covers zip features that Python lacks, LookupError a bare `.npy` array, which has no names.
_DAMAGE = ValueError, LookupError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error


class DamagedArchiveError(ValueError):
    """A file is no archive, lacks an array, or is damaged."""


def write_archive(path, arrays, provenance):
    """Writes a dictionary of arrays, with provenance in plain JSON values, whole or not at all.

    `UserError` if the file can't be written there, `ValueError` if the provenance holds NaN or
    infinity, `TypeError` if it is not JSON.
    """
    text = np.array(json.dumps(provenance, allow_nan=False))
    # An open file, because `np.savez` would add ".npz" to a name without it.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, provenance=text)


def read_archive(path, dtypes, optional=()):
    """Reads what `write_archive` wrote; pickled objects are refused, not run.

    Args:
        path: The file.
        dtypes: Dictionary of name to the dtype that the array is given; None leaves its own.
        optional: Names of arrays that may be missing: they are None then.

    Returns:
        Tuple of a dictionary of name to array, and the provenance.

    Raises:
        OSError: If the file can't be read.
        DamagedArchiveError: If it is something else.
    """
    with Path(path).open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            arrays = {name: np.asarray(archive[name], dtype) for name, dtype in dtypes.items()}
            arrays |= {name: archive.get(name) for name in optional}
            return arrays, json.loads(str(archive["provenance"]))
        except _DAMAGE as error:
            raise DamagedArchiveError(str(error)) from error
