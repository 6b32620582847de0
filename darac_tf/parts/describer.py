"""One part of a manifest after another: files are fetched in threads, ahead of the network."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from darac_tf.data.pillow_files import sides
from darac_tf.errors import UserError
from darac_tf.parquet import load_parquet
from darac_tf.parts.fetching import Fetcher, UnreadableError
from darac_tf.parts.manifest import Manifest
from darac_tf.parts.part_files import Layout, write_part
from darac_tf.threads import look_ahead

_BATCH_BYTES = 64 << 20


class Described(NamedTuple):
    """What has come of a part."""

    part: int
    images: int  # How many have a vector.
    dead: int  # How many have none.


class _File(NamedTuple):
    """An image file in memory; `reason` says why it isn't, None where it is."""

    id: str
    uri: str
    data: bytes = b""
    sha256: bytes = b""
    size: int = 0
    sides: tuple = (0, 0)
    reason: str | None = None


class PartDescriber:
    """Describes parts of a manifest with one model, each into its file.

    Args:
        model: As `search.ExportedModel`: its call, `prepared`, `no_image`, `fingerprint`,
            `dimension`, `is_upright`.
        manifest: Path of the manifest.
        folder: Where the parts go.
        settings: `PartSettings`.

    Attributes:
        manifest: The `Manifest`.
        layout: `Layout` of the parts.

    Raises:
        UserError: If the manifest can't be read, or parts of this size not be written.
    """

    def __init__(self, model, manifest, folder, settings):
        load_parquet(folder)
        self.manifest = Manifest(manifest)
        self._model, self._folder, self._settings = model, folder, settings
        self._fetch = Fetcher(self.manifest.path.parent, settings.timeout, settings.retries)
        self.layout = Layout(
            model=model.fingerprint,
            dim=model.dimension,
            dtype=settings.dtype,
            part_rows=settings.part_rows,
            rows=len(self.manifest),
            manifest=self.manifest.fingerprint,
            manifest_path=str(self.manifest.path),
            facts={
                "orientation": "upright" if model.is_upright else "stored",
                "model_folder": str(model.folder),
            },
        )

    def __call__(self, part, progress=lambda images, dead: None):
        """Describes one part and writes it; a `Described`.

        Args:
            part: Its number.
            progress: Called with the counts of images and dead letters of each batch.

        Raises:
            UserError: If the model fails, a package for a store is missing, more images are bad
                than `max_bad` allows, or the part can't be written.
        """
        rows = self.manifest.rows(*self.layout.rows_of(part))
        files, vectors = [], [np.empty((0, self.layout.dim), self.layout.dtype)]
        with ThreadPoolExecutor(self._settings.threads) as pool:
            ahead = max(2 * self._settings.batch_images, self._settings.threads)
            read = look_ahead(pool, self._read, rows, ahead)
            for batch in _batches(read, self._settings.batch_images):
                found, batch = self._described(batch)
                vectors.append(found.astype(self.layout.dtype))
                files += batch
                progress(len(found), len(batch) - len(found))
        good = [file for file in files if file.reason is None]
        dead = [(file.id, file.uri, file.reason) for file in files if file.reason is not None]
        if len(dead) > self._settings.max_bad * len(rows):
            raise UserError(
                f"part {part}: {len(dead)} of {len(rows)} images can't be described, the first: "
                f"{dead[0][1]}: {dead[0][2]}; see to it, or allow more by --max_bad"
            )
        columns = {
            "id": [file.id for file in good],
            "vector": np.concatenate(vectors),
            "sha256": [file.sha256 for file in good],
            "bytes": [file.size for file in good],
            "height": [file.sides[0] for file in good],
            "width": [file.sides[1] for file in good],
        }
        write_part(self._folder, self.layout, part, columns, dead)
        return Described(part, len(good), len(dead))

    def _described(self, batch):
        """`(vectors of the images that have one, the batch without what is in its files)`."""
        found = [file.data for file in batch if file.reason is None]
        if not found:
            return np.empty((0, self.layout.dim), np.float32), batch
        vectors, valid = self._model(found)
        reasons = iter(None if is_good else self._model.no_image for is_good in valid)
        kept = [
            file._replace(data=b"", reason=next(reasons)) if file.reason is None else file
            for file in batch
        ]
        return vectors[valid], kept

    def _read(self, row):
        name, uri = row
        try:
            data = self._fetch(uri)
        except UnreadableError as error:
            return _File(name, uri, reason=str(error))
        digest, size = hashlib.sha256(data).digest(), len(data)
        return _File(name, uri, self._model.prepared(data), digest, size, sides(data))


def _batches(files, most):
    """Lists of at most so many files, of no more bytes than a batch may have but for one file."""
    batch, size = [], 0
    for file in files:
        if batch and (len(batch) == most or size + len(file.data) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += len(file.data)
    if batch:
        yield batch
