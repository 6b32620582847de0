"""Decoding and the one resize, as TensorFlow ops for training, evaluation and export alike.

EXIF orientation is not applied: an image is taken as its pixels are stored.
"""

from pathlib import Path

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from darac_tf.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def decode_image(data):
    """JPEG, PNG, GIF or BMP bytes (a scalar string) to uint8 RGB `(height, width, 3)`.

    Of an animation, the first frame is taken.
    """
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def resize(image, height, width):
    """Antialiased bilinear resize: `(..., h, w, 3)` of any dtype to float32, same value range."""
    return tf.image.resize(image, [height, width], method="bilinear", antialias=True)


def resize_long_side(image, long_side):
    """Resizes `(height, width, 3)` to `long_side` pixels on the longer side; keeps the aspect.

    Returns:
        float32 image in [0, 255].
    """
    shape = tf.shape(image)
    height, width = scaled_size(shape[0], shape[1], long_side, maximum=tf.maximum)
    return resize(image, height, width)


def scaled_size(height, width, long_side, maximum=max):
    """`(height, width)` after a resize to `long_side`: rounded to the nearest, at least 1.

    Integer arithmetic, so that ints, NumPy arrays (`maximum=numpy.maximum`) and tensors
    (`maximum=tf.maximum`) get the same sizes.
    """
    longer = maximum(height, width)
    return tuple(
        maximum((2 * side * long_side + longer) // (2 * longer), 1) for side in (height, width)
    )


def stored_size(path):
    """`(height, width)` of an image file, read from its header.

    Raises:
        UserError: If the file is missing, empty or no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(unreadable(path)) from error


def check_images(paths):
    """Decodes images one after another, to find the one that a failed pipeline stumbled over.

    Raises:
        UserError: For the first that cannot be read.
    """
    for path in paths:
        try:
            decode_image(Path(path).read_bytes())
        except (OSError, tf.errors.InvalidArgumentError) as error:
            raise UserError(unreadable(path)) from error


def unreadable(path):
    """The one-line message about a bad image."""
    path = Path(path)
    if not path.exists():
        return f"{path}: no such image"
    if path.stat().st_size == 0:
        return f"{path}: the image is empty (0 bytes); replace or remove it"
    return f"{path}: cannot be decoded as JPEG, PNG, GIF or BMP; replace or remove it"
