"""Vectors of any network, as other tools keep them: NumPy, Parquet, folders of clip-retrieval.

| what | vectors | names of their images |
| --- | --- | --- |
| `FILE.npy` | an array `(images, dim)` | `FILE.csv` or `FILE.parquet` beside it, or none |
| `FILE.parquet` | its one column of lists of numbers | its other columns |
| `FOLDER` | `img_emb/img_emb_N.npy` | `metadata/metadata_N.parquet` |

Names are a column `path` or `image_path` (and `xmin`, `ymin`, `xmax`, `ymax` of a part), or else a
column `id`: the place in the list of `write_image_list`. Without any, vectors are in its order.
Source of the folder: clip-retrieval's `clip_inference/writer.py`, which autofaiss reads too.
"""

import csv
import os
from pathlib import Path

import numpy as np

from darac_tf.data.labelled import as_text, write_table
from darac_tf.describing.feature_file import FeatureFile
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.parquet import load_parquet
from darac_tf.rows import finite_rows, unit_rows

_PATHS, _ID, _BOX = ("path", "image_path"), "id", ("xmin", "ymin", "xmax", "ymax")
_IMAGES, _METADATA = "img_emb/img_emb_", "metadata/metadata_"
_SUFFIXES = (".npy", ".parquet")
_BLOCK_ROWS = 4096


def is_vector_file(name):
    """Whether a path is named, or is a folder, as `load_vectors` reads it."""
    return name.endswith(_SUFFIXES) or Path(name, _IMAGES).parent.is_dir()


def load_vectors(path):
    """Reads vectors that another program has written, as a `FeatureFile`; nothing pickled is run.

    They are L2-normalised; rows of zeros are not valid. `UserError` if the file can't be read, is
    something else, holds NaN or infinity, does not have one name for each vector, or needs PyArrow
    that is not installed.
    """
    path = Path(path)
    try:
        if path.is_dir():
            parts, columns = _read_folder(path)
        elif path.suffix == ".npy":
            parts, columns = [_read_npy(path)], _names_beside(path)
        else:
            parts, columns = _read_parquet(path)
        vectors = _unit_vectors(parts, path)
        return _named(path, vectors, columns)
    except UserError:
        raise
    except (OSError, ValueError, EOFError, csv.Error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise UserError(f"--descriptors: can't read the vectors of {path}: {reason}") from error


def write_image_list(path, *image_lists):
    """Writes the CSV file of what is measured: id, path, and the box and turn of a part.

    Of one `ImageList` after another. Vectors in its order, or named by its columns, are what
    `load_vectors` wants.
    """
    rows = []
    for images in image_lists:
        for place, image in enumerate(images.paths):
            box, turns = images.box_of(place), images.turns_of(place)
            box = [""] * len(_BOX) if box is None else box.tolist()
            image = as_text(os.path.abspath(image))  # noqa: PTH100
            rows.append((len(rows), image, *box, turns or ""))
    write_table(path, (_ID, _PATHS[0], *_BOX, "quarter_turns"), rows)


def write_folder(folder, vectors, paths, dtype=np.float32):
    """Writes a new folder that clip-retrieval and autofaiss read, whole or not at all.

    Args:
        folder: Where to; what is there must be empty.
        vectors: What reads like an array `(images, dim)`, in blocks.
        paths: Paths of the images.
        dtype: float32 or float16.

    `UserError` if it can't be written there, or PyArrow is not installed.
    """
    arrow, parquet = load_parquet(folder)
    with atomic_path(folder) as temporary:
        names = [temporary / f"{stem}0" for stem in (_IMAGES, _METADATA)]
        for name in names:
            name.parent.mkdir(parents=True)
        shape = vectors.shape
        array = np.lib.format.open_memmap(names[0].with_suffix(".npy"), "w+", dtype, shape)
        for start in range(0, len(array), _BLOCK_ROWS):
            array[start : start + _BLOCK_ROWS] = vectors[start : start + _BLOCK_ROWS]
        array.flush()
        table = arrow.table({"image_path": [as_text(path) for path in paths]})
        parquet.write_table(table, names[1].with_suffix(".parquet"))


def _read_npy(path):
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it holds several arrays")
    return array


def _names_beside(path):
    """The columns of the file that names the images of `path`; none where there is no such file."""
    if (beside := path.with_suffix(".parquet")).is_file():
        vectors, columns = _read_parquet(beside)
        if vectors:
            raise UserError(f"{beside} holds vectors itself: name it, or move it from {path.name}")
        return columns
    if not (beside := path.with_suffix(".csv")).is_file():
        return {}
    with beside.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    return {name: [row[name] for row in rows] for name in reader.fieldnames or ()}


def _read_folder(folder):
    """`([array of a part, ...], columns of all)` of a folder of clip-retrieval."""
    found = {p.stem.rpartition("_")[2]: p for p in folder.glob(f"{_IMAGES}*.npy")}
    parts, columns = [], {}
    for number in sorted(found, key=lambda text: (len(text), text)):
        metadata = folder / f"{_METADATA}{number}.parquet"
        _, names = _read_parquet(metadata)
        parts.append(_read_npy(found[number]))
        for name in (*_PATHS, _ID, *_BOX):
            if name in names and (len(parts) == 1 or name in columns):
                columns.setdefault(name, []).extend(names[name])
        _check_count(metadata, len(parts[-1]), names)
    if not parts:
        raise ValueError(f"there is no {_IMAGES}N.npy")
    return parts, columns


def _read_parquet(path):
    """`([vectors of a part, ...], dictionary of the other columns, lists)`; no vectors: []."""
    arrow, parquet = load_parquet(path)
    table = parquet.read_table(path)
    kinds = arrow.types
    is_list = {
        field.name: kinds.is_list(field.type)
        or kinds.is_large_list(field.type)
        or kinds.is_fixed_size_list(field.type)
        for field in table.schema
    }
    lists = [name for name, found in is_list.items() if found]
    if len(lists) > 1:
        raise ValueError(f"its columns {', '.join(lists)} are all lists; keep the vectors only")
    names = [name for name in (*_PATHS, _ID, *_BOX) if is_list.get(name) is False]
    columns = {name: table.column(name).to_pylist() for name in names}
    chunks = table.column(lists[0]).chunks if lists else ()
    return [_as_array(chunk) for chunk in chunks if len(chunk)], columns


def _as_array(chunk):
    """A column of lists of one length as an array `(rows, dim)`."""
    if chunk.null_count:
        raise ValueError("it has rows without a vector")
    values = chunk.flatten().to_numpy(zero_copy_only=False)
    dim = len(chunk[0])
    if hasattr(chunk, "offsets") and (np.diff(chunk.offsets.to_numpy()) != dim).any():
        raise ValueError("its vectors differ in length")
    return values.reshape(len(chunk), dim)


def _unit_vectors(parts, path):
    """float32 unit rows of all parts, arrays `(n, dim)`."""
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) != 1 or {part.dtype.kind for part in parts} != {"f"} or len(*shapes) != 1:
        found = ", ".join(f"{part.dtype} {part.shape}" for part in parts[:3]) or "no vectors"
        raise ValueError(f"float vectors of one length are wanted, and it has {found}")
    vectors, row = np.empty((sum(map(len, parts)), *shapes.pop()), np.float32), 0
    for part in parts:
        for start in range(0, len(part), _BLOCK_ROWS):
            block = finite_rows(part[start : start + _BLOCK_ROWS], f"vectors in {path}", row)
            vectors[row : row + len(block)] = unit_rows(block)
            row += len(block)
    return vectors


def _named(path, vectors, columns):
    """The `FeatureFile` of vectors with the columns that name them."""
    _check_count(path, len(vectors), columns)
    paths, boxes, how = None, None, "in the order of the images"
    if column := next((name for name in _PATHS if name in columns), None):
        paths, how = np.array(columns[column], str), "found by path"
        if set(_BOX) <= set(columns):
            values = [[_number(x) for x in columns[name]] for name in _BOX]
            boxes = np.array(values, np.float64).T
    elif _ID in columns:
        ids, how = np.array(columns[_ID], np.int64), "in the order of the column id"
        order = np.argsort(ids, kind="stable")
        if not np.array_equal(ids[order], np.arange(len(ids))):
            raise ValueError(f"its column id is not 0 to {len(ids) - 1}, each once")
        vectors = vectors[order]
    facts = {"made_by": f"something else, and are {how}"}
    valid = vectors.any(axis=1)
    return FeatureFile(paths, vectors, valid, None, facts, boxes, str(path))


def _check_count(path, count, columns):
    for name, values in columns.items():
        if len(values) != count:
            raise UserError(f"{path}: {count} vectors, and {len(values)} rows of {name!r}")


def _number(value):
    return np.nan if value in (None, "") else float(value)
