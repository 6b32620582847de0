"""The files of a description in parts: how they are laid out, written, judged and read.

    parts.json             what all parts share: `Layout`
    part-000000.parquet    images of rows [0, part_rows) of the manifest, in its order
    dead-000000.parquet    those of these rows that can't be described: id, uri, reason; if any

A part has the columns `id`, `vector` (a list of fixed size, float32 or float16), `sha256` and
`bytes` (of the image file), `width` and `height` (as stored). Vectors are written as they lie in
memory, so that they are mapped from the file instead of read. A part names the dead letters it
was written with, which are written first: a part that is whole has all that belongs to it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import atomic_path, remove
from darac_tf.parquet import load_parquet

_FORMAT = 1
LAYOUT, _PART, _DEAD = "parts.json", "part-{:06d}.parquet", "dead-{:06d}.parquet"
_KEY = b"darac_tf"
_VECTOR, _NUMBERS = "vector", ("bytes", "width", "height")
# Sizes in the header of a page have 32 bits.
_PAGE_BYTES = 1 << 30
_HEADER_BYTES = 64
_TRIES = 5
# To write a part takes seconds.
_LEFT_SECONDS = 3600
# Opening files of a shared file system waits more than it computes.
_THREADS = 16


@dataclass(frozen=True)
class Layout:
    """What all parts of a description share."""

    model: str  # Fingerprint of the model.
    dim: int  # Of the vectors.
    dtype: str  # Of the vectors as they are kept, float32 or float16.
    part_rows: int  # Rows of the manifest in each part but the last.
    rows: int  # Rows of the manifest.
    manifest: str  # Its fingerprint.
    manifest_path: str  # Where it was; it may have moved since.
    facts: dict  # More of the model: strings and numbers by name.

    def __post_init__(self):
        if self.part_rows * self.dim * np.dtype(self.dtype).itemsize >= _PAGE_BYTES:
            raise UserError(
                f"--part_rows={self.part_rows}: vectors of {self.dim} dimensions fill more than "
                f"{_PAGE_BYTES >> 20} MiB; make it smaller"
            )

    def __len__(self):
        """How many parts there are."""
        return -(-self.rows // self.part_rows)

    def rows_of(self, part):
        """`(start, stop)` of the manifest's rows of a part."""
        return part * self.part_rows, min((part + 1) * self.part_rows, self.rows)

    def begin(self, folder):
        """Writes `parts.json`, or compares with the one that is there.

        `UserError` if that is of another model, manifest or form, or can't be written.
        """
        folder = Path(folder)
        if not (folder / LAYOUT).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(folder / LAYOUT) as temporary:
                text = json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=1)
                temporary.write_text(text, encoding="utf-8")
        there = Layout.read(folder)
        for name in ("model", "manifest", "rows", "dim", "dtype", "part_rows"):
            if (found := getattr(there, name)) != (wanted := getattr(self, name)):
                raise UserError(
                    f"{folder} holds parts of another {name} ({found}, and this is {wanted}): "
                    "name another folder, or give what they were made with"
                )

    @classmethod
    def read(cls, folder):
        """What `parts.json` of a folder says; `UserError` if there is none that can be read."""
        path = Path(folder, LAYOUT)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if (found := values.pop("format")) != _FORMAT:
                raise UserError(f"{path} has the format {found}, and this program reads {_FORMAT}")
            return cls(**values)
        except OSError as error:
            raise UserError(f"{folder} holds no parts: {path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} is damaged: describe into another folder") from error


def write_part(folder, layout, part, columns, dead=()):
    """Writes one part and its dead letters, each whole or not at all, the part last.

    Two who write the same part at once leave one of the two, with its own dead letters.

    Args:
        folder: Of the parts.
        layout: `Layout` of all.
        part: Number of the part.
        columns: Dictionary of `id` (strings), `vector` (float `(n, dim)`), `sha256` (32 bytes
            each), `bytes`, `width` and `height` (integers), n long each, in the manifest's order.
        dead: `(id, uri, reason)` of the rows that are not among them, in the manifest's order.

    Raises:
        UserError: If it can't be written.
        ValueError: If columns or dead letters are not those of the rows of the part.
    """
    start, stop = layout.rows_of(part)
    if len(columns["id"]) + len(dead) != stop - start:
        found = f"{len(columns['id'])} images and {len(dead)} dead letters"
        raise ValueError(f"Part {part} has {stop - start} rows. Received: {found}")
    arrow, _ = load_parquet(folder)
    facts = {"format": _FORMAT, "model": layout.model, "manifest": layout.manifest}
    facts |= {"part": part, "rows": stop - start, "dead": _digest(each[0] for each in dead)}
    path = Path(folder, _PART.format(part))
    beside = Path(folder, _DEAD.format(part))
    for _ in range(_TRIES):
        if dead:
            names = ("id", "uri", "reason")
            letters = dict(zip(names, map(list, zip(*dead, strict=True)), strict=True))
            schema = arrow.schema([arrow.field(name, arrow.string(), False) for name in names])
            _write(beside, arrow.table(letters, schema=_with(schema, facts)), {})
        else:
            remove(beside)
        # Statistics and dictionaries of numbers that all differ take time and tell nothing.
        how = {"compression": {"id": "zstd"}, "use_dictionary": False, "write_statistics": ["id"]}
        how["row_group_size"] = max(1, len(columns["id"]))
        _write(path, _table(arrow, layout, columns, facts), how)
        # Another writer's letters may have come between: a part is only whole with its own.
        if fault_of_part(folder, layout, part) is None:
            return
    raise UserError(f"{path} is being written by others: let one end first")


def fault_of_part(folder, layout, part):
    """Why a part is not whole: a text without its name, "" where there is none yet, else None.

    Only ends of files are read. `UserError` if it is of another model or manifest.
    """
    return _judged(folder, layout, part)[0]


def _judged(folder, layout, part):
    """`(fault of the part, how many vectors it has)`."""
    path, beside = (Path(folder, name.format(part)) for name in (_PART, _DEAD))
    if not path.exists():
        return "", 0
    try:
        count, facts = _facts_of(path)
    except (OSError, ValueError) as error:
        return f"can't be read ({str(error).splitlines()[0]})", 0
    for name in ("model", "manifest"):
        if facts[name] != getattr(layout, name):
            raise UserError(f"{path} is of another {name}: name another folder, or remove it")
    start, stop = layout.rows_of(part)
    if (facts["part"], facts["rows"]) != (part, stop - start):
        return f"is part {facts['part']} with {facts['rows']} rows", 0
    try:
        others, letters = _facts_of(beside) if beside.exists() else (0, {"dead": ""})
    except (OSError, ValueError):
        others, letters = 0, {"dead": None}
    if count + others != stop - start or letters["dead"] != facts["dead"]:
        return f"was not written with the {beside.name} that is there, or not", 0
    return None, count


def dead_letters(folder, part):
    """`(id, uri, reason)` of the images of a part that can't be described."""
    path = Path(folder, _DEAD.format(part))
    if not path.exists():
        return []
    _, parquet = load_parquet(folder)
    return [tuple(row.values()) for row in parquet.read_table(path).to_pylist()]


def remove_leftovers(folder):
    """Removes what writers that were killed have left: temporary files of an hour ago or more."""
    for path in Path(folder).glob(".*.parquet"):
        with contextlib.suppress(FileNotFoundError):  # another does it too
            if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                path.unlink()


class Parts:
    """Vectors and ids of all parts of a description; none is in memory until it is asked for.

    Attributes:
        folder: Path of the parts.
        layout: Their `Layout`.
        dim, dtype, model: As of the layout.
        offsets: int64 `(parts + 1,)`: vectors before each part, and of all.
    """

    def __init__(self, folder, layout, counts):
        self.folder, self.layout = Path(folder), layout
        self.dim, self.dtype, self.model = layout.dim, np.dtype(layout.dtype), layout.model
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._mapped = {}

    @classmethod
    def open(cls, folder):
        """The parts of a folder; `UserError` if one is missing or not whole."""
        layout = Layout.read(folder)

        def count(part):
            fault, images = _judged(folder, layout, part)
            if fault is not None:
                path = Path(folder, _PART.format(part))
                raise UserError(f"{path} {fault or 'is missing'}: give darac describe again")
            return images

        with ThreadPoolExecutor(_THREADS) as pool:
            return cls(folder, layout, list(pool.map(count, range(len(layout)))))

    def __len__(self):
        """How many parts there are."""
        return len(self.layout)

    @property
    def rows(self):
        """How many vectors there are."""
        return int(self.offsets[-1])

    def path(self, part):
        """The file of a part."""
        return self.folder / _PART.format(part)

    def vectors(self, part):
        """Vectors of a part, `(images, dim)` of `dtype`: mapped from its file where they can be.

        A part that another program has written, in pages or compressed, is read into memory.
        """
        if part not in self._mapped:
            shape = int(np.diff(self.offsets)[part]), self.dim
            start = _start_of_vectors(self.path(part), shape, self.dtype)
            if start is None:
                return self._read_vectors(part).reshape(shape)
            self._mapped[part] = np.memmap(self.path(part), self.dtype, "r", start, shape)
        return self._mapped[part]

    def ids(self, part):
        """Ids of the vectors of a part, list of strings."""
        return self._column(part, "id").to_pylist()

    def columns(self, part):
        """All columns of a part, as `write_part` takes them."""
        names = ("id", "sha256", *_NUMBERS)
        columns = {name: self._column(part, name).to_pylist() for name in names}
        return {**columns, _VECTOR: self.vectors(part)}

    def read(self, rows):
        """Vectors by their numbers over all parts: int `(n,)` to float32 `(n, dim)`."""
        rows = np.asarray(rows, np.int64)
        found = np.empty((len(rows), self.dim), np.float32)
        parts = np.searchsorted(self.offsets, rows, side="right") - 1
        for part in np.unique(parts):
            of_part = parts == part
            found[of_part] = self.vectors(part)[rows[of_part] - self.offsets[part]]
        return found

    def _read_vectors(self, part):
        column = self._column(part, _VECTOR).combine_chunks()
        return column.flatten().to_numpy(zero_copy_only=False).astype(self.dtype, copy=False)

    def _column(self, part, name):
        _, parquet = load_parquet(self.folder)
        try:
            return parquet.read_table(
                self.path(part), columns=[name], page_checksum_verification=True
            ).column(name)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{self.path(part)} is damaged ({reason}): remove it") from error


def _digest(ids):
    """One short name of a list of ids; "" for none."""
    text = "\0".join(ids)
    return text and hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _with(schema, facts):
    return schema.with_metadata({_KEY: json.dumps(facts)})


def _table(arrow, layout, columns, facts):
    dtype = np.dtype(layout.dtype)
    item = arrow.field("element", arrow.from_numpy_dtype(dtype), nullable=False)
    kinds = {"id": arrow.string(), _VECTOR: arrow.list_(item, layout.dim)}
    kinds |= {"sha256": arrow.binary(32), "bytes": arrow.int64()}
    kinds |= {"width": arrow.int32(), "height": arrow.int32()}
    vectors = np.asarray(columns[_VECTOR], dtype).reshape(-1, layout.dim)
    values = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.ravel()), type=kinds[_VECTOR])
    schema = arrow.schema([arrow.field(name, kind, False) for name, kind in kinds.items()])
    arrays = [
        values if name == _VECTOR else arrow.array(columns[name], kind)
        for name, kind in kinds.items()
    ]
    return arrow.table(arrays, schema=_with(schema, facts))


def _write(path, table, how):
    _, parquet = load_parquet(path)
    how = {"compression": "none", "data_page_size": _PAGE_BYTES, **how}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        parquet.write_table(table, file, write_page_checksum=True, **how)
        file.flush()
        # A name that has come to stay must not stand for what a loss of power has taken.
        os.fsync(file.fileno())


def _facts_of(path):
    """`(rows, facts)` of a file of this kind; `OSError` or `ValueError` if it is damaged."""
    _, parquet = load_parquet(path)
    metadata = parquet.read_metadata(path)
    try:
        facts = json.loads(metadata.metadata[_KEY])
    except (KeyError, TypeError) as error:
        raise ValueError("it is no part of a description") from error
    return metadata.num_rows, facts


def _start_of_vectors(path, shape, dtype):
    """Where the vectors of a part begin in its file, as they lie in memory; None: they don't.

    They are the last bytes of their column, where it is one page, plain and not compressed.
    Source: Parquet's `Encodings.md` and `parquet.thrift`, `PageHeader` in the compact protocol.
    """
    metadata = load_parquet(path)[1].read_metadata(path)
    count = shape[0] * shape[1]
    if not count or metadata.num_row_groups != 1:
        return None
    group = metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    column = next(each for each in columns if each.path_in_schema.startswith(f"{_VECTOR}."))
    plain = column.compression == "UNCOMPRESSED" and set(column.encodings) == {"RLE", "PLAIN"}
    if not plain or column.has_dictionary_page:
        return None
    with Path(path).open("rb") as file:
        file.seek(column.data_page_offset)
        header = file.read(_HEADER_BYTES)
    # The kind of page (0: data), its size, its size as stored, a checksum; then of the data page
    # the count of its values.
    numbers, at = [], 0
    for tag in (0x15, 0x15, 0x15, 0x15, 0x1C, 0x15):
        if header[at] != tag:
            return None
        at += 1
        if tag == 0x15:
            value, at = _zigzag(header, at)
            numbers.append(value)
    kind, _, _, _, values = numbers
    if kind != 0 or values != count:
        return None
    return column.data_page_offset + column.total_compressed_size - count * dtype.itemsize


def _zigzag(data, at):
    """A number of the compact protocol, and where the next byte is."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return (value >> 1) ^ -(value & 1), at
