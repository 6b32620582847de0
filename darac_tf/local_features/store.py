"""The local features of an image, and those of a data set in memory-mapped files."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import atomic_path

# Each feature's arrays, one row a feature. Half precision of unit vectors is exact to 5e-4.
_ROWS = {"descriptors": np.float16, "locations": np.float32, "attention": np.float32}
_OFFSETS, _SIDES, _FACTS = "offsets.npy", "long_sides.npy", "facts.json"


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Local features of one image, those of the highest attention first."""

    descriptors: np.ndarray  # float `(n, dim)` unit vectors.
    # float32 `(n, 2)`, x and y of the features' centres in pixels of the stored image, whose upper
    # left corner is (0, 0) and whose first pixel has its centre at (0.5, 0.5).
    locations: np.ndarray
    attention: np.ndarray  # float32 `(n,)`, falling.
    long_side: float  # The longer side, in pixels, of the part of the image that was looked at.

    def __len__(self):
        return len(self.descriptors)


def no_features(dim):
    """`LocalFeatures` of an image without any."""
    descriptors, locations, attention = (np.zeros((0, n), np.float32) for n in (dim, 2, 1))
    return LocalFeatures(descriptors, locations, attention[:, 0], 0.0)


class FeatureStore:
    """Reads what `write_features` wrote: `store[i]`, the `LocalFeatures` of image i, and `facts`.

    `UserError` if the folder is missing, incomplete or damaged.
    """

    def __init__(self, folder):
        folder = Path(folder)
        if not (folder / _FACTS).is_file():
            raise UserError(f"{folder}: no local features in it; give a folder that has them")
        try:
            self.facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            # `np.load` refuses pickled objects.
            self._rows = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ROWS}
            self._offsets, self._sides = np.load(folder / _OFFSETS), np.load(folder / _SIDES)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{folder}: its local features are damaged; make them again") from error
        counts = {len(rows) for rows in self._rows.values()}
        if counts != {int(self._offsets[-1])} or len(self._sides) != len(self):
            raise UserError(f"{folder}: its files don't belong together; make them again")

    def __len__(self):
        return len(self._offsets) - 1

    def __getitem__(self, image):
        if not 0 <= image < len(self):
            raise IndexError(f"There are {len(self)} images. Received: {image}")
        start, stop = self._offsets[image : image + 2]
        parts = {name: rows[start:stop] for name, rows in self._rows.items()}
        return LocalFeatures(**parts, long_side=float(self._sides[image]))


def write_features(folder, features, dim, facts=None):
    """Writes the features of images one after another, the whole folder or nothing: `FeatureStore`.

    Five `.npy` files and a JSON file of the `facts`, of an iterable of `LocalFeatures`, such as a
    `LocalExtractor`, and the `dim` of their descriptors. `UserError` if the folder can't be written
    or holds something.
    """
    shapes = {"descriptors": (dim,), "locations": (2,), "attention": ()}
    offsets, sides = [0], []
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        with contextlib.ExitStack() as stack:
            append = {
                name: stack.enter_context(_growing(temporary / f"{name}.npy", dtype, shapes[name]))
                for name, dtype in _ROWS.items()
            }
            for image in features:
                for name in append:
                    append[name](getattr(image, name))
                offsets.append(offsets[-1] + len(image))
                sides.append(image.long_side)
        np.save(temporary / _OFFSETS, np.array(offsets, np.int64))
        np.save(temporary / _SIDES, np.array(sides, np.float32))
        facts = json.dumps(facts or {}, allow_nan=False)
        (temporary / _FACTS).write_text(facts, encoding="utf-8")
    return FeatureStore(folder)


@contextlib.contextmanager
def _growing(path, dtype, shape):
    """Yields a function that appends rows to a `.npy` file; the header is completed at the end."""
    count = 0
    fields = np.lib.format.header_data_from_array_1_0(np.empty((0, *shape), dtype))

    def write_header():
        # NumPy leaves room in it for the first axis to grow.
        np.lib.format.write_array_header_1_0(file, {**fields, "shape": (count, *shape)})

    def append(rows):
        nonlocal count
        rows = np.asarray(rows)
        if rows.shape[1:] != shape or rows.ndim != len(shape) + 1:
            raise ValueError(f"rows of {path.name} must be (n, *{shape}). Received: {rows.shape}")
        file.write(np.ascontiguousarray(rows, dtype).tobytes())
        count += len(rows)

    with path.open("wb") as file:
        write_header()
        yield append
        file.seek(0)
        write_header()
