"""Lists of images to describe: their ids and where they are, as a Parquet or CSV file.

A manifest has the columns `id` and `uri`, an image a row. Order and ids are the user's; each id is
there once. A URI is what `fetching` reads: a path (relative ones from the manifest's folder),
`http://...`, `s3://...`, or a range of bytes of one, such as a member of a tar file. A CSV file is
held in memory; of Parquet, one row group at a time.
"""

import hashlib
import itertools
import os
import posixpath
import tarfile
from pathlib import Path

import numpy as np

from darac_tf.data.images import IMAGE_SUFFIXES
from darac_tf.data.labelled import as_text, image_files, write_table
from darac_tf.errors import UserError, printable
from darac_tf.files import atomic_path
from darac_tf.parquet import load_parquet
from darac_tf.parts.fetching import byte_range, is_remote, store_of

_COLUMNS = ("id", "uri")
_GROUP_ROWS = 1 << 16


class Manifest:
    """The rows of a manifest, read as they are asked for.

    `UserError` if the file can't be read or lacks a column.

    Attributes:
        path: Absolute path of the file.
        fingerprint: Of its content, 32 hexadecimal digits.
    """

    def __init__(self, path):
        self.path = Path(path).absolute()
        _, parquet = load_parquet(path)
        try:
            with self.path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
            self.fingerprint = digest.hexdigest()
            if self.path.suffix == ".parquet":
                self._file = parquet.ParquetFile(self.path)
                groups = range(self._file.num_row_groups)
                counts = [self._file.metadata.row_group(group).num_rows for group in groups]
                self._check_columns(self._file.schema_arrow.names)
            else:
                self._file, self._group = None, (0, _read_csv(self.path))
                counts = [self._group[1].num_rows]
                self._check_columns(self._group[1].column_names)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, UserError):
                raise
            reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
            raise UserError(f"--manifest: can't read {path}: {reason}") from error
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if self._file is not None:
            self._group = (-1, None)

    def __len__(self):
        """How many images there are."""
        return int(self._starts[-1])

    def rows(self, start, stop):
        """`[(id, uri), ...]` of some rows; `UserError` names the first without one of them."""
        found = []
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right") - 1
        for group in range(first, last + 1):
            offset = int(self._starts[group])
            low, high = max(start - offset, 0), stop - offset
            columns = [column[low:high].to_pylist() for column in self._columns(group)]
            found += zip(*columns, strict=True)
        for row, (name, uri) in enumerate(found, start):
            if not name or not uri:
                raise UserError(f"{self.path}: row {row + 1} has no id or no uri")
        return found

    def check(self):
        """`UserError` that names an id which is there twice, or a row that lacks something."""
        hashes = np.empty(len(self), np.int64)
        if not len(self):
            raise UserError(f"--manifest: {self.path} lists no images")
        for start, stop in zip(self._starts[:-1], self._starts[1:], strict=True):
            rows = self.rows(start, stop) if stop > start else []
            hashes[start:stop] = np.fromiter((hash(name) for name, _ in rows), np.int64, len(rows))
        ordered = np.sort(hashes)
        alike = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(alike):
            return
        # Hashes may agree by chance: texts decide.
        seen, again = {}, []
        for row in np.flatnonzero(np.isin(hashes, alike)).tolist():
            ((name, _),) = self.rows(row, row + 1)
            if (first := seen.setdefault(name, row)) != row:
                again.append((name, first, row))
        if again:
            name, first, row = again[0]
            more = f", and {len(again) - 1} more rows repeat ids" if len(again) > 1 else ""
            raise UserError(
                f"{self.path}: the id {name!r} is in rows {first + 1} and {row + 1}{more}: "
                f"each image needs an id of its own"
            )

    def _columns(self, group):
        """Columns of ids and URIs of a row group, texts."""
        arrow, _ = load_parquet(self.path)
        if self._group[0] != group:
            self._group = group, self._file.read_row_group(group, columns=list(_COLUMNS))
        return [self._group[1].column(name).cast(arrow.string()) for name in _COLUMNS]

    def _check_columns(self, names):
        for name in _COLUMNS:
            if name not in names:
                found = ", ".join(names) or "none"
                raise UserError(f"--manifest: {self.path} has no column {name!r} (it has {found})")


def write_manifest(path, rows):
    """Writes `(id, uri)` of images, any iterable, as `path` ends: .csv or .parquet.

    Returns how many. `UserError` if it ends otherwise, there is none, an id is there twice, or it
    can't be written.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"--out={path}: a manifest ends in .parquet or .csv")
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            write_table(temporary, _COLUMNS, rows)
        else:
            _write_parquet(temporary, rows)
        manifest = Manifest(temporary)
        manifest.check()
        return len(manifest)


def list_images(place, has_several=False):
    """Yields `(id, uri)` of the images below a folder or prefix, or in a tar file.

    Args:
        place: Path of a folder, a CSV file of `labelled.read_csv`, or `s3://bucket/prefix`; or a
            tar file of either kind, in WebDataset's layout. `*` in what is remote stands for names.
        has_several: Whether the name of the place begins the ids; of members of tars it always
            does.

    `UserError` if there is nothing, or what is there can't be read.
    """
    name = posixpath.basename(place.rstrip("/"))
    prefix = f"{as_text(name)}/" if has_several else ""
    if is_remote(place):
        store, path = store_of(place)
        files = store.glob(path) if "*" in path else store.find(path)
        base = posixpath.dirname(path.partition("*")[0]) if "*" in path else path
        for file in sorted(files):
            uri = store.unstrip_protocol(file)
            if file.endswith(".tar"):
                yield from _members(uri, store.open(file))
            elif file.lower().endswith(IMAGE_SUFFIXES):
                yield prefix + posixpath.relpath(file, base), uri
    elif place.endswith(".tar") and Path(place).is_file():
        with Path(place).open("rb") as file:
            yield from _members(as_text(os.path.abspath(place)), file)  # noqa: PTH100
    else:
        for file in image_files("FOLDER", place):
            uri = as_text(os.path.abspath(file))  # noqa: PTH100
            inside = os.path.relpath(file, place) if Path(place).is_dir() else file
            yield prefix + as_text(inside), uri


def _members(uri, file):
    """`(id, uri)` of the images of an open tar file, which is closed."""
    name = posixpath.basename(uri)
    try:
        with file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.isfile() and member.name.lower().endswith(IMAGE_SUFFIXES):
                    where = byte_range(uri, member.offset_data, member.size)
                    yield f"{name}/{as_text(member.name)}", where
            # What is damaged ends the walk without a word; what is whole ends in zeros.
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"it is damaged or cut short at byte {archive.offset}")
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{printable(uri)} can't be read as a tar file: {error}") from error


def _read_csv(path):
    arrow, _ = load_parquet(path)
    import pyarrow.csv

    # Ids such as 007 and NA are texts.
    kinds = pyarrow.csv.ConvertOptions(column_types={name: arrow.string() for name in _COLUMNS})
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(path, parse_options=lines, convert_options=kinds)


def _write_parquet(path, rows):
    arrow, parquet = load_parquet(path)
    schema = arrow.schema([arrow.field(name, arrow.string(), False) for name in _COLUMNS])
    rows = iter(rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(itertools.islice(rows, _GROUP_ROWS)):
            columns = [arrow.array(column) for column in zip(*some, strict=True)]
            writer.write_table(arrow.table(columns, schema=schema))
