"""The index of a prepared set: where each record lies, as arrays that are mapped, not read."""

import json
from collections import namedtuple
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import atomic_path

FOLDER = "index"
_NAMES = "names.json"
# A value for each record, in the order of the classes.
_ARRAYS = {
    "labels": np.int64,  # rising, indices into `class_names`
    "splits": np.int32,  # indices into `split_names`
    "shards": np.int32,  # indices into `shard_names`
    "offsets": np.int64,  # byte of the shard at which the example begins
    "lengths": np.int64,  # bytes of the example
    "checksums": np.uint32,  # CRC-32 of the example
    "sources": np.bytes_,  # absolute path of the image it was made of, as of `os.fsencode`
}
_Fields = namedtuple("_Fields", [*_ARRAYS, "name", "class_names", "split_names", "shard_names"])


class RecordIndex(_Fields):
    """Records in the order of their classes, so that those of a class follow one another.

    Attributes:
        labels, splits, shards, offsets, lengths, checksums, sources: Arrays `(records,)`; what they
            hold and their types stand in `_ARRAYS`.
        name: What reports call the collection.
        class_names, split_names: Lists of the names of all classes and splits.
        shard_names: List of the file names of the shards.
    """

    def write(self, folder):
        """Writes `folder/index`: a `.npy` file for each array, and `names.json`."""
        with atomic_path(Path(folder) / FOLDER) as temporary:
            temporary.mkdir()
            for name, dtype in _ARRAYS.items():
                array = np.asarray(getattr(self, name), dtype)
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            names = {k: value for k, value in self._asdict().items() if k not in _ARRAYS}
            (temporary / _NAMES).write_text(json.dumps(names), encoding="utf-8")

    @classmethod
    def open(cls, folder):
        """Maps the arrays of `folder/index` into memory, read-only.

        `UserError` if there is no index, it is damaged, or a shard is missing or cut short.
        """
        folder = Path(folder)
        place = folder / FOLDER
        if not place.is_dir():
            raise UserError(f"--data_dir: no finished preparation in {folder}: prepare it (again)")
        try:
            names = json.loads((place / _NAMES).read_text(encoding="utf-8"))
            arrays = {
                name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in _ARRAYS
            }
            index = cls(**arrays, **names)
            if len({len(array) for array in arrays.values()}) != 1 or not len(index.labels):
                raise ValueError("Arrays must have one length.")
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{place}: is damaged; remove it and prepare again") from error
        needed = np.zeros(len(index.shard_names), np.int64)
        # Records of a shard lie one after another, so that the last one ends furthest.
        np.maximum.at(needed, index.shards, index.offsets + index.lengths)
        for name, size in zip(index.shard_names, needed, strict=True):
            path = folder / name
            if not path.is_file() or path.stat().st_size < size:
                raise UserError(
                    f"{path}: is missing or cut short; remove {place} and prepare again"
                )
        return index
