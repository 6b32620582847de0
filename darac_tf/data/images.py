"""Decoding and the one resize, as TensorFlow ops for training, evaluation and export alike.

EXIF orientation is not applied: an image is taken as its pixels are stored.
"""

import contextlib
import logging
import os
import stat
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from darac_tf.errors import UserError

_LOG = logging.getLogger(__name__)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")

# Beside what begins with a dot: what archivers, NAS boxes and disks keep in folders, lower case.
_OF_SYSTEMS = {
    *("__macosx", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    *("$recycle.bin", "system volume information", "lost+found"),
}

# Raise it whenever decoding, cropping, turning, resizing or `models.preprocessing` gives other
# pixels than before: descriptors kept on disk are then made anew.
PIXELS_VERSION = 2

# JPEGs become the pixels that Pillow gives, to the last bit. TensorFlow's own choice is up to 8 of
# 256 levels off, which moves descriptors, and is no faster.
_DCT = "INTEGER_ACCURATE"

# What `resize` makes a pixel of: a triangle as wide as the image shrinks, the nearest four, or one.
ANTIALIAS = "antialias"
KERNELS = (ANTIALIAS, "bilinear", "nearest")

# What `decode_scaled` divides sides by.
RATIOS = (1, 2, 4, 8)


def decode_image(data):
    """JPEG, PNG, GIF (its first frame) or BMP bytes to uint8 RGB `(height, width, 3)`."""
    return tf.cond(tf.io.is_jpeg(data), lambda: _decode_jpeg(data), lambda: _decode_other(data))


def _decode_jpeg(data, ratio=1):
    return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method=_DCT)


def _decode_other(data):
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def decode_scaled(data, ratio):
    """Decodes a JPEG at a part of its size; other images must have a ratio of 1.

    The decoder leaves out what smaller pixels don't show, which saves time of decoding and resize.
    The result is only close to that of the whole image, so that this is for those who ask for it.
    `ratio` is one of `RATIOS`; the image is as of `decode_image`, with sides as of `scaled_side`.
    """
    _, *scaled = RATIOS
    branches = [lambda: decode_image(data)]
    # The operation takes its ratio as an attribute, one for each branch.
    branches += [lambda own=own: _decode_jpeg(data, own) for own in scaled]
    return tf.switch_case(tf.searchsorted(RATIOS, [ratio])[0], branches)


def scaled_side(side, ratio):
    """A side in pixels after `decode_scaled`, `ceil(side / ratio)`; integers or arrays."""
    return -(-side // ratio)


def decode_window(data, window):
    """Decodes a part of an image; of a JPEG no more than that, which saves most of the rest.

    The pixels are those that `decode_image` gives, but for the first and the last column of a
    JPEG with reduced colours, where colours aren't interpolated with those beyond.

    Args:
        data: As of `decode_image`.
        window: Called with the shape `(3,)` of the image, returns `(offset, size)`, int32 `(3,)`
            each, as `tf.slice` takes them.
    """

    def of_jpeg():
        offset, size = window(tf.image.extract_jpeg_shape(data))
        box = tf.concat([offset[:2], size[:2]], 0)
        return tf.image.decode_and_crop_jpeg(data, box, channels=3, dct_method=_DCT)

    def of_others():
        image = _decode_other(data)
        return tf.slice(image, *window(tf.shape(image)))

    return tf.cond(tf.io.is_jpeg(data), of_jpeg, of_others)


def resize(image, height, width, kernel=ANTIALIAS):
    """The one resize: `(..., h, w, 3)` of any dtype to float32, same value range.

    By one of `KERNELS`; all but the first are for comparing with figures of others.
    """
    method = "nearest" if kernel == "nearest" else "bilinear"
    resized = tf.image.resize(image, [height, width], method, antialias=kernel == ANTIALIAS)
    return tf.cast(resized, tf.float32)


def crop(image, box):
    """Cuts a box out of `(height, width, 3)`, as `PIL.Image.crop` does; black beyond the edges.

    The box is integers `(4,)`: `xmin, ymin, xmax, ymax` in pixels, of which the last two are not
    included.
    """
    xmin, ymin, xmax, ymax = tf.unstack(tf.cast(box, tf.int32))
    height, width = tf.unstack(tf.shape(image)[:2])
    inside = image[tf.maximum(ymin, 0) : ymax, tf.maximum(xmin, 0) : xmax]
    above_below = [tf.maximum(-ymin, 0), tf.maximum(ymax - height, 0)]
    left_right = [tf.maximum(-xmin, 0), tf.maximum(xmax - width, 0)]
    return tf.pad(inside, [above_below, left_right, [0, 0]])


def turn(image, quarters):
    """Turns `(height, width, 3)` by a number of quarter turns counter-clockwise, 0 to 3."""
    return tf.image.rot90(image, quarters)


def resize_long_side(image, long_side):
    """As `resize` of `(height, width, 3)`, to `long_side` pixels on the longer; keeps aspect."""
    shape = tf.shape(image)
    return resize(image, *scaled_size(shape[0], shape[1], long_side))


def scaled_size(height, width, long_side):
    """`(height, width)` after a resize to `long_side`: rounded to the nearest, at least 1.

    Integer arithmetic, so that ints, NumPy arrays and tensors get the same sizes.
    """
    longer = maximum(height, width)
    return tuple(
        maximum((2 * side * long_side + longer) // (2 * longer), 1) for side in (height, width)
    )


def maximum(a, b):
    """The larger of two ints, or of each element of NumPy arrays or of tensors, as `a` is."""
    if tf.is_tensor(a):
        return tf.maximum(a, b)
    return np.maximum(a, b) if isinstance(a, np.ndarray) else max(a, b)


def stored_size(path):
    """`(height, width)` of an image file, read from its header.

    Raises:
        UserError: If the file is missing, empty or no image.
    """
    if not content_size(path):  # A pipe would make this wait for ever.
        raise UserError(unreadable(path))
    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, Image.DecompressionBombError) as error:  # also what Pillow can't identify
        raise UserError(unreadable(path)) from error
    if not height or not width:
        raise UserError(unreadable(path))
    return height, width


def visible(paths, left_out):
    """Those files and folders that are a user's own, of str, bytes or `Path`.

    Hidden ones and those that systems keep beside them are appended to the list `left_out`.
    """
    found = []
    for path in paths:
        name = os.path.basename(os.fsdecode(path))  # noqa: PTH119 - pathlib takes no bytes
        is_own = not name.startswith(".") and name.lower() not in _OF_SYSTEMS
        (found if is_own else left_out).append(path)
    return found


def say_left_out(folder, left_out):
    """Logs how many `visible` left out below a folder, in one line, if any."""
    if left_out:
        _LOG.warning(
            "%s: %d hidden files and folders, or of the system, are left out, such as %s",
            *(folder, len(left_out), os.fsdecode(left_out[0])),
        )


def images_below(folder):
    """Paths of the image files in a folder and below it, sorted list of strings.

    What is not `visible` is left out. Links to folders are not followed.
    """
    found, left_out = [], []
    for parent, folders, names in os.walk(Path(folder)):
        folders[:] = visible(folders, left_out)
        images = (name for name in names if name.lower().endswith(IMAGE_SUFFIXES))
        found += [str(Path(parent, name)) for name in visible(images, left_out)]
    say_left_out(folder, left_out)
    return sorted(found)


def check_images(paths):
    """Finds the image that a failed pipeline stumbled over.

    Raises:
        UserError: For the first that cannot be read.
    """
    for path in paths:
        if reason := decoding_failure(path):
            raise UserError(reason)


def image_fault(path):
    """As `decoding_failure`, where the size that the header gives is to be read first."""
    try:
        return decoding_failure(path, stored_size(path))
    except UserError as error:
        return str(error)


def decoding_failure(path, size=None):
    """A line that names an image file and says what is wrong with it, None where nothing is.

    It must decode, to the `size` `(height, width)` that its header gives where that is told.
    """
    try:
        height, width, _ = decode_file(path).shape
    except UserError as error:
        return str(error)
    if size is not None and (height, width) != tuple(size):
        return (
            f"{path}: its header says {size[1]} x {size[0]} pixels, and it decodes to "
            f"{width} x {height}; replace or remove it"
        )
    return None


def content_size(path):
    """The size of a file in bytes, 0 where there is none, or a folder, or a pipe."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path each is slow for a million
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def read_image(path):
    """The bytes of an image file; `UserError` if it is missing, empty, no file or not readable."""
    with contextlib.suppress(OSError):
        if content_size(path):
            return Path(path).read_bytes()
    raise UserError(unreadable(path))


def decode_file(path):
    """`decode_image` of a file; `UserError` as of `read_image`, or if it is no image."""
    try:
        return decode_image(read_image(path))
    except tf.errors.InvalidArgumentError as error:
        raise UserError(unreadable(path)) from error


def unreadable(path):
    """The one-line message about a bad image."""
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: no such image"
    except (OSError, ValueError) as error:
        return f"{path}: can't be read ({getattr(error, 'strerror', error)}); remove it"
    if not stat.S_ISREG(status.st_mode):
        return f"{path}: is no file, but a folder or a device; rename or remove it"
    if status.st_size == 0:
        return f"{path}: the image is empty (0 bytes); replace or remove it"
    if not os.access(path, os.R_OK):
        return f"{path}: permission denied; change the rights of the file"
    return f"{path}: cannot be decoded as JPEG, PNG, GIF or BMP; replace or remove it"
