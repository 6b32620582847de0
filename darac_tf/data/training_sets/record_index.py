"""The index of a prepared set: where each record lies, as arrays that are mapped, not read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import atomic_path

FOLDER = "index"
_NAMES = "names.json"
_ARRAYS = {
    "labels": np.int64,
    "splits": np.int32,
    "shards": np.int32,
    "offsets": np.int64,
    "lengths": np.int64,
    "checksums": np.uint32,
    "sources": np.bytes_,
}


@dataclass(frozen=True)
class RecordIndex:
    """Records in the order of their classes, so that those of a class follow one another.

    Attributes:
        labels: int64 `(records,)`, rising, indices into `class_names`.
        splits: int32 `(records,)`, indices into `split_names`.
        shards: int32 `(records,)`, indices into `shard_names`.
        offsets: int64 `(records,)`, byte of the shard at which the example begins.
        lengths: int64 `(records,)`, bytes of the example.
        checksums: uint32 `(records,)`, CRC-32 of the example.
        sources: Byte strings `(records,)`, as of `os.fsencode`: absolute paths of the images they
            were made of.
        name: What reports call the collection.
        class_names: Names of all classes.
        split_names: Names of the splits.
        shard_names: File names of the shards.
    """

    labels: np.ndarray
    splits: np.ndarray
    shards: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    checksums: np.ndarray
    sources: np.ndarray
    name: str
    class_names: list[str]
    split_names: list[str]
    shard_names: list[str]

    def write(self, folder):
        """Writes `folder/index`: a `.npy` file for each array, and `names.json`."""
        with atomic_path(Path(folder) / FOLDER) as temporary:
            temporary.mkdir()
            for name, dtype in _ARRAYS.items():
                array = np.asarray(getattr(self, name), dtype)
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            names = {
                field: getattr(self, field)
                for field in ("name", "class_names", "split_names", "shard_names")
            }
            (temporary / _NAMES).write_text(json.dumps(names), encoding="utf-8")

    @classmethod
    def open(cls, folder):
        """Maps the arrays of `folder/index` into memory, read-only.

        Raises:
            UserError: If there is no index, it is damaged, or a shard is missing or cut short.
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
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{place}: is damaged; remove it and prepare again") from error
        if len({len(array) for array in arrays.values()}) != 1 or not len(index.labels):
            raise UserError(f"{place}: is damaged; remove it and prepare again")
        index._check_shards(folder)
        return index

    def _check_shards(self, folder):
        needed = np.zeros(len(self.shard_names), np.int64)
        # Records of a shard lie one after another, so that the last one ends furthest.
        np.maximum.at(needed, self.shards, self.offsets + self.lengths)
        for name, size in zip(self.shard_names, needed, strict=True):
            path = folder / name
            if not path.is_file() or path.stat().st_size < size:
                raise UserError(
                    f"{path}: is missing or cut short; remove {folder / FOLDER} and prepare again"
                )
