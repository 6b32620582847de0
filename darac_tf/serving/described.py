"""What a server says about images, and how its answer is checked."""

from typing import NamedTuple

import numpy as np

from darac_tf.serving.retries import ServerError


class Described(NamedTuple):
    """Descriptors of a list of images.

    Attributes:
        vectors: float32 `(images, dim)`; rows of zeros where `valid` is False.
        valid: bool `(images,)`, False for an image that can't be decoded.
    """

    vectors: np.ndarray
    valid: np.ndarray


def checked_answer(outputs, count, signature):
    """Makes a `Described` of the outputs of one request.

    Args:
        outputs: Dictionary of output name to array; without `valid`, all images count as valid.
        count: Number of images that were sent.
        signature: Name of the signature, for messages.

    Returns:
        `Described` of `count` images.

    Raises:
        ServerError: If outputs are missing, of another shape, or not finite.
    """
    if "descriptor" not in outputs:
        raise ServerError(
            f"the signature {signature!r} gives {sorted(outputs)} and no 'descriptor': serve a "
            "model of export_savedmodel.py"
        )
    vectors = np.asarray(outputs["descriptor"])
    valid = np.asarray(outputs.get("valid", np.ones(count, bool)))
    fits = vectors.ndim == 2 and len(vectors) == count and valid.shape == (count,)
    if not fits or vectors.dtype.kind != "f" or valid.dtype != bool:
        raise ServerError(
            f"the server's answer to {count} images is not one vector for each: descriptor "
            f"{vectors.dtype} {vectors.shape}, valid {valid.dtype} {valid.shape}"
        )
    vectors = np.ascontiguousarray(vectors, np.float32)
    if not np.isfinite(vectors).all():
        raise ServerError("the server's vectors hold NaN or infinity: check the served model")
    return Described(vectors, valid)


def joined(parts, dimension=0):
    """One `Described` of several, in their order; `(0, dimension)` without any."""
    if not parts:
        return Described(np.empty((0, dimension), np.float32), np.empty(0, bool))
    return Described(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
