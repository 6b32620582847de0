"""From a descriptor to a version of it that TensorFlow Serving serves, complete and checked."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from darac_tf.choices import (
    DEFAULT_MAX_PIXELS,
    EXPORT_COMPUTES,
    EXPORT_FORMATS,
    EXPORT_PRECISIONS,
    MODEL_FILES,
    ORIENTATIONS,
)
from darac_tf.describing.sizes import as_size
from darac_tf.engines import Calibration, check_calibration
from darac_tf.engines.inference_copy import fused_copy
from darac_tf.errors import UserError
from darac_tf.export.formats import WRITERS
from darac_tf.export.model_card import CardFacts, write_model_card
from darac_tf.export.signatures import ImageDescriber, check_whitening
from darac_tf.export.verification import THRESHOLDS, Verification, verify_export
from darac_tf.files import atomic_path, numbered
from darac_tf.whitening import Whitening

# Requests that TensorFlow Serving runs before a version is available; it looks for them there.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# Precisions that a format does not have.
_WITHOUT = {
    "savedmodel": ("int8",),
    "openvino": ("bfloat16",),
    "onnx": ("bfloat16", "float16", "int8"),
}
# Height and width of the drawn images; two shapes, so that requests of several are warm too.
_SHAPES = ((96, 128), (128, 96))


@dataclass(frozen=True, eq=False)
class ExportSettings:
    """Settings of an export.

    Raises:
        ValueError: If the precision, the orientation or the format is another.
        UserError: If they don't fit each other.
    """

    # What is combined: `sizes.LongSide`, `sizes.Factor`, or integers for long sides in pixels.
    resolutions: tuple
    whitening: Whitening | None = None  # `Whitening` fitted at these resolutions, or None.
    combination: str = "sum"  # See `combine_resolutions`.
    exponent: float | None = None  # See `combine_resolutions`.
    precision: str = "float32"  # What kernels are stored in, one of `EXPORT_PRECISIONS`.
    # Most pixels of an image, as stored and after each resize; of a GIF, of all its frames
    # together.
    max_pixels: int = DEFAULT_MAX_PIXELS
    # Whether images are turned upright by their Exif orientation, one of `choices.ORIENTATIONS`.
    orientation: str = "upright"
    format: str = "savedmodel"  # One of `EXPORT_FORMATS`.
    calibration: Calibration | None = None  # Of int8, None for others.
    # What a SavedModel's convolutions compute in, one of `EXPORT_COMPUTES`.
    compute: str = "float32"

    def __post_init__(self):
        choices = {"precision": EXPORT_PRECISIONS, "orientation": ORIENTATIONS}
        choices |= {"format": EXPORT_FORMATS, "compute": EXPORT_COMPUTES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}`: one of {known}. Received: {getattr(self, name)!r}")
        if self.precision in _WITHOUT[self.format]:
            raise UserError(f"--precision={self.precision} is not for --format={self.format}")
        if self.compute != "float32" and self.format != "savedmodel":
            raise UserError(f"--compute={self.compute} is not for --format={self.format}")
        check_calibration(self.precision, self.calibration)
        object.__setattr__(self, "resolutions", tuple(map(as_size, self.resolutions)))
        if self.whitening is not None:
            check_whitening(self)


class Published(NamedTuple):
    """What was written: the version's folder, the length of descriptors, and `Verification`."""

    folder: Path
    dimension: int
    verification: Verification | None


def publish(model, out, settings, facts=None, version=None, verify_paths=(), threshold=None):
    """Writes `OUT/<version>/`: the model, a SavedModel's warm-up requests, and its model card.

    The folder appears when all is written and verified, so that a server which watches `out` never
    sees a part of it.

    Args:
        model: Descriptor.
        out: Folder of the versions.
        settings: `ExportSettings`.
        facts: `CardFacts`; None takes the name of `out` and no more.
        version: Positive integer; None for one more than the largest there, or 1.
        verify_paths: Images to compare the export with the model on; none for no comparison.
        threshold: Smallest cosine that the comparison accepts; None for that of the precision,
            `verification.THRESHOLDS`.

    Returns:
        `Published`.

    Raises:
        UserError: If the version exists, `out` is itself a version, something does not fit, or the
            comparison fails.
    """
    folder = version_folder(out, version)
    facts = facts or CardFacts(name=folder.absolute().parent.name)
    verification = None
    if threshold is None:
        threshold = min(THRESHOLDS[how] for how in (settings.precision, settings.compute))
    with atomic_path(folder) as temporary:
        write = WRITERS.get(settings.format, _write_saved_model)
        dimension, folding = write(model, temporary, settings)
        if len(verify_paths):
            verification = verify_export(temporary, model, settings, verify_paths, threshold)
        if settings.format == "savedmodel":
            _write_warmup(temporary, facts.name)
        write_model_card(temporary, model, settings, facts, dimension, folding, verification)
    return Published(folder, dimension, verification)


def export_saved_model(model, folder, resolutions, whitening=None, **options):
    """Writes a SavedModel that needs neither darac_tf nor Keras to load; returns its dimension.

    Its signatures:

    - `serving_default`: `image_bytes` (string, `(batch,)`: `headers.KINDS`) to `descriptor`
      (float32, `(batch, dimension)`). A bad image fails the request with an InvalidArgumentError.
    - `robust`: the same with `valid` (bool, `(batch,)`): a bad image gets zeros and False.
    - `pixels`: `pixels` (uint8, `(batch, height, width, 3)`) to `descriptor`.

    Of a descriptor; `resolutions`, `whitening` and the options are those of `ExportSettings`.
    `UserError` if the folder exists, or whitening or precision do not fit.
    """
    settings = ExportSettings(resolutions, whitening, **options)
    with atomic_path(folder) as temporary:
        dimension, _ = _write_saved_model(model, temporary, settings)
    return dimension


def _write_saved_model(model, folder, settings):
    """Writes a SavedModel with batch normalisation folded: its dimension, and the `Folding`."""
    network, folding = fused_copy(model, settings.compute)
    describer = ImageDescriber(network, settings)
    try:
        tf.saved_model.save(describer, str(folder), signatures=describer.signatures())
    except tf.errors.ResourceExhaustedError as error:
        full = os.strerror(errno.ENOSPC)
        if full in str(error):
            raise OSError(errno.ENOSPC, full) from error  # As `atomic_path` knows it.
        raise
    return describer.dimension, folding


def version_folder(out, version=None):
    """Where `publish` writes; a UserError if the version exists, or `out` is itself a version."""
    out = Path(out)
    if any((out / name).exists() for name in MODEL_FILES.values()):
        advice = f"name the folder that holds the versions, such as {out.parent}"
        raise UserError(f"--out: {out} is one exported model; {advice}")
    if version is None:
        version = max(numbered(out), default=0) + 1
    folder = out / str(version)
    if folder.exists():
        advice = "leave --version out for the next number, or name another"
        raise UserError(f"--version: {folder} exists, and a version never changes: {advice}")
    return folder


def _write_warmup(folder, name):
    """Writes requests to the model `name`, without which the first for a signature is slow."""
    path = Path(folder) / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in _warmup_inputs():
            request = PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = PredictionLog(predict_log=PredictLog(request=request))
            writer.write(log.SerializeToString())


def _warmup_inputs():
    pictures = [_picture(*shape, seed) for seed, shape in enumerate(_SHAPES)]
    files = [tf.io.encode_jpeg(picture).numpy() for picture in pictures]
    for signature in ("serving_default", "robust"):
        yield signature, {"image_bytes": files[:1]}
        yield signature, {"image_bytes": files}
    yield "robust", {"image_bytes": [*files, b"no image"]}
    yield "pixels", {"pixels": pictures[0][np.newaxis]}


def _picture(height, width, seed):
    """Coarse noise, uint8 `(height, width, 3)`."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3))
    return cells.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
