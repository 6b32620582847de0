"""An exported model as a function from the bytes of image files to descriptors."""

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.choices import DEFAULT_MAX_PIXELS, MODEL_FILES
from darac_tf.data.images import for_export
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.errors import UserError
from darac_tf.processor import has_bfloat16

_SIGNATURE = "robust"
_EXPORT = "export it with export_savedmodel.py"
# The card and the warm-up requests change no descriptor, nor does when it was saved.
_NOT_COUNTED = ("assets.extra/", "fingerprint.pb")
# Half precision changes the length of a unit vector by less.
_LENGTH_TOLERANCE = 1e-2


class ExportedModel:
    """The `robust` signature of a SavedModel, or another format, as `darac export` writes it.

    Args:
        folder: The version's folder, `EXPORT/1`: the one that holds one of `MODEL_FILES`.
        known: Pair of the stamp and the fingerprint of a model that was read before: files with
            that stamp are not read again for their fingerprint.

    Attributes:
        folder: Absolute path of the folder.
        fingerprint: Of what it computes (graph, variables, assets): 32 hexadecimal digits.
        stamp: Of its files' names, sizes and times: they are other files where it is another.
        dimension: Of the descriptors.
        is_upright: Whether it turns images upright by their Exif orientation.
        max_pixels: It takes images of no more.
        no_image: What is wrong with an image that it gives no vector of.

    Raises:
        UserError: If it is no such model, can't be read, has no such signature, or does not keep to
            it.
    """

    def __init__(self, folder, known=(None, None)):
        self.folder = Path(folder).absolute()
        files = _files(self.folder)
        self.stamp = _stamp(files)
        self.fingerprint = known[1] if known[0] == self.stamp else _fingerprint(files, folder)
        if (self.folder / MODEL_FILES["savedmodel"]).exists():
            self._load(folder)
        else:
            # It brings Keras along, which takes seconds.
            from darac_tf.export.formats import read_pixel_model

            self._loaded = self._described = read_pixel_model(self.folder)
        # Exports of before turn nothing, and compute in float32.
        self.is_upright = bool(getattr(self._loaded, "is_upright", False))
        self.max_pixels = int(getattr(self._loaded, "max_pixels", DEFAULT_MAX_PIXELS))
        if getattr(self._loaded, "is_bfloat16", False) and not has_bfloat16():
            raise UserError(
                f"{folder} computes in bfloat16, which this processor has not (AVX512_BF16 or "
                "AMX): take an export of --compute=float32, which is faster here"
            )
        limit = f"{self.max_pixels} pixels (--max_pixels of the export)"
        self.no_image = f"cannot be decoded as an image, or has more than {limit}"
        # No image at all is a bad image, which gives zeros of the right length.
        vectors, valid = self._run([b""])
        self.dimension = vectors.shape[1]
        if valid[0]:
            raise UserError(f"{folder} takes an empty file for an image: export it again")

    def _load(self, folder):
        try:
            # The loaded object has to stay: its variables live as long as it does.
            self._loaded = tf.saved_model.load(str(self.folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(f"{folder} can't be loaded as a SavedModel: export it again") from error
        if _SIGNATURE not in self._loaded.signatures:
            raise UserError(f"{folder} has no signature {_SIGNATURE!r}: {_EXPORT}")
        signature = self._loaded.signatures[_SIGNATURE]

        def described(data):
            out = signature(image_bytes=tf.constant(data, tf.string))
            return out["descriptor"].numpy(), out["valid"].numpy()

        self._described = described

    def __call__(self, data):
        """Describes images, a non-empty list of the contents of their files.

        Tuple of float32 `(images, dimension)` and bool `(images,)`: whether it is an image that can
        be described. The vectors of those that are have a length of about 1. `UserError` if the
        model fails on all of them, or gives vectors of other lengths.
        """
        data = [self.prepared(each) for each in data]
        vectors, valid = self._run(data)
        valid = valid & np.isfinite(vectors).all(axis=1)
        lengths = np.linalg.norm(vectors[valid], axis=1)
        if (abs(lengths - 1) > _LENGTH_TOLERANCE).any():
            raise UserError(f"{self.folder} gives descriptors of another length than 1: {_EXPORT}")
        return vectors, valid

    def prepared(self, data):
        """An image file as the graph decodes it, which what is called does too: to do it before,
        in threads, saves its time. Bytes to bytes.
        """
        return for_export(data, self.is_upright, self.max_pixels)

    def _run(self, data):
        try:
            vectors, valid = self._described(data)
        except (KeyError, TypeError, RuntimeError, tf.errors.OpError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            failed = f"{self.folder} failed on {len(data)} images ({reason[:200]})"
            raise UserError(f"{failed}: make --batch_images smaller, or {_EXPORT}") from error
        if vectors.ndim != 2 or len(vectors) != len(data) or valid.shape != (len(data),):
            shapes = f"shapes {vectors.shape} and {valid.shape} for {len(data)} images"
            raise UserError(f"{self.folder} gives {shapes}: {_EXPORT}")
        return vectors.astype(np.float32, copy=False), valid


def _files(folder):
    """Dictionary of name to path and status of the files that make the descriptors."""
    if not any((folder / name).is_file() for name in MODEL_FILES.values()):
        found = [path for name in MODEL_FILES.values() for path in folder.glob(f"*/{name}")]
        versions = sorted(path.parent.name for path in found)
        hint = f"; give one of its versions, such as {folder / versions[-1]}" if versions else ""
        raise UserError(f"--model: no saved_model.pb in {folder}{hint}")
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return {
        name: (path, path.stat())
        for name, path in names.items()
        if path.is_file() and not name.startswith(_NOT_COUNTED)
    }


def _stamp(files):
    facts = [(name, of.st_size, of.st_mtime_ns, of.st_ino) for name, (_, of) in files.items()]
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _fingerprint(files, folder):
    parts = []
    try:
        for name, (path, _) in sorted(files.items()):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
            parts.append(f"{name} {digest.hexdigest()}")
    except OSError as error:
        raise UserError(f"--model: can't read {folder}: {error.strerror}") from error
    return model_fingerprint(*parts)
