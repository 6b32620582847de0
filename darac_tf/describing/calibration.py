"""Photographs that a network is calibrated on before it is quantised."""

import hashlib

import numpy as np

from darac_tf.data.images import decode_file, resize_long_side
from darac_tf.data.labelled import spread_files
from darac_tf.engines import Calibration

# One for all runs: ranges hardly change with it, and vectors don't depend on what else is measured.
_LONG_SIDE = 299


def read_calibration(source, limit):
    """`Calibration` on at most `limit` images, evenly spread over a CSV file or a folder.

    `UserError` if there is none, or one of them can't be read.
    """
    digest, images = hashlib.blake2b(digest_size=16), []
    for path in spread_files("--calibration", source, limit):
        image = resize_long_side(decode_file(path, is_upright=True), _LONG_SIDE)
        images.append(np.asarray(image)[np.newaxis])
        digest.update(images[-1].tobytes())
    return Calibration(images, f"{len(images)} images, {digest.hexdigest()}")
