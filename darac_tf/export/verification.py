"""Comparing an exported model with the model it was made from, on real images."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from darac_tf.choices import DEFAULT_MAX_PIXELS
from darac_tf.data.images import content_size, read_image
from darac_tf.data.views import ImageList
from darac_tf.describing.extraction import extract_features
from darac_tf.errors import UserError
from darac_tf.export.formats import read_pixel_model

# Smallest cosines that are expected. bfloat16 keeps 8 bits of a weight, and whitening enlarges what
# is lost. int8 is of maps, too.
THRESHOLDS = {"float32": 0.99999, "float16": 0.999, "bfloat16": 0.98, "int8": 0.9}
_BATCH = 8


@dataclass(frozen=True)
class Verification:
    """How near the vectors of an export are to those of its source."""

    images: int  # Images that both described.
    unreadable: int  # Images that both refused.
    mean_cosine: float  # Mean over the images.
    min_cosine: float  # The smallest.
    max_difference: float  # Largest absolute difference of a component.
    farthest: str  # The image of the smallest cosine.
    threshold: float  # The cosine that none may fall below.

    def __str__(self):
        return (
            f"{self.images} images: cosine {self.mean_cosine:.8f} on average, at least "
            f"{self.min_cosine:.8f}; largest difference {self.max_difference:.2e}"
        )


def verify_export(folder, model, settings, paths, threshold):
    """`Verification` of a SavedModel on disk against the descriptor and `ExportSettings` behind it.

    Raises:
        UserError: If a cosine is below the threshold or not a number, only one of the two can read
            an image, or no image can be read.
    """
    expected, usable = describe_with_source(model, settings, paths)
    found, valid = describe_with_export(folder, paths)
    if (usable != valid).any():
        path = paths[int(np.argmax(usable != valid))]
        advice = "leave it out of --verify, or raise --max_pixels"
        which = "only one of the exported model and eval.py"
        raise UserError(f"--verify: {which} can read {path}: {advice}")
    found, expected = (x[valid].astype(np.float64) for x in (found, expected))
    cosines = np.sum(found * expected, axis=1)
    lowest = int(np.argmin(cosines))  # NumPy takes NaN for the smallest of all
    verification = Verification(
        images=len(cosines),
        unreadable=int(np.sum(~valid)),
        mean_cosine=float(cosines.mean()),
        min_cosine=float(cosines[lowest]),
        max_difference=float(np.abs(found - expected).max()),
        farthest=str(np.asarray(paths)[valid][lowest]),
        threshold=threshold,
    )
    if not verification.min_cosine >= threshold:
        raise UserError(
            f"--verify: nothing is published: {verification.farthest} has a cosine below "
            f"{threshold} to the source model ({verification}); take a higher --precision, or "
            "lower --verify_threshold"
        )
    return verification


def describe_with_source(model, settings, paths):
    """As eval.py describes: float32 `(images, dimension)`, and bool `(images,)` which it could."""

    def describe(pixels):
        return {"": model(pixels, training=False)}

    how = {"progress": False, "skip_bad": True}
    limit = max(settings.max_pixels, DEFAULT_MAX_PIXELS)
    is_upright = settings.orientation == "upright"
    images = ImageList(np.asarray(paths), upright=is_upright, max_pixels=limit)
    features = extract_features(describe, images, settings.resolutions, **how)
    vectors = features.vectors("", None, settings.combination, settings.exponent)
    if settings.whitening is not None:
        vectors = vectors.whitened(settings.whitening)
    return np.asarray(vectors), features.usable


def describe_with_export(folder, paths):
    """With signature `robust`, or the format's runtime: `(images, dimension)`, bool `(images,)`."""
    describe = read_pixel_model(folder) or _robust(folder)
    batches = []
    for start in range(0, len(paths), _BATCH):
        some = paths[start : start + _BATCH]
        batches.append(describe([read_image(p) if content_size(p) else b"" for p in some]))
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def _robust(folder):
    # The signatures live as long as what was loaded.
    loaded = tf.saved_model.load(str(folder))

    def describe(data):
        found = loaded.signatures["robust"](image_bytes=tf.constant(data))
        return found["descriptor"].numpy(), found["valid"].numpy()

    return describe
