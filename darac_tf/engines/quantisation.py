"""Quantising a network to int8 after training, by NNCF: an optional package."""

import contextlib
import io
import os
from dataclasses import dataclass

from darac_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the ranges of a network's maps are measured on.

    Attributes:
        images: List of float32 pixels `(1, height, width, 3)` in [0, 255].
        identity: A text that differs where they do.
    """

    images: list
    identity: str


def quantised(model, images, ignored=()):
    """A copy of an `openvino.Model` whose convolutions take and have int8.

    Args:
        model: Of one input.
        images: List of what it takes, to measure ranges on.
        ignored: Regular expressions of the names of operations that stay as they are.

    Raises:
        UserError: If NNCF is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")  # It reports its use to the makers otherwise.
    try:
        import nncf
    except ImportError as error:
        raise UserError(
            "--precision=int8 needs a package that is not installed: pip install nncf"
        ) from error
    nncf.set_log_level(40)  # Errors.
    scope = nncf.IgnoredScope(patterns=list(ignored), validate=False) if ignored else None
    with contextlib.redirect_stdout(io.StringIO()):  # It draws bars.
        return nncf.quantize(
            model, nncf.Dataset(images), subset_size=len(images), ignored_scope=scope
        )
