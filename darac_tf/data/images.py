"""Decoding and the one resize, as TensorFlow ops for training, evaluation and export alike.

An image is taken as its pixels are stored, or turned upright as its Exif orientation says: where a
function doesn't say which, as stored. Transparent pixels lie on white, and grey of 16 bits is taken
to 8 by its upper ones.
"""

import contextlib
import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.choices import ANTIALIAS, DEFAULT_MAX_PIXELS
from darac_tf.data import pillow_files
from darac_tf.data.exif import (
    PNG,
    find_part,
    has,
    integer,
    is_lying,
    stored_part,
    turn_upright,
)
from darac_tf.data.headers import image_header
from darac_tf.data.pillow_files import content_size, read_header, unreadable
from darac_tf.errors import UserError

_LOG = logging.getLogger(__name__)
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl"),
)

# Beside what begins with a dot: what archivers, NAS boxes and disks keep in folders, lower case.
_OF_SYSTEMS = {
    *("__macosx", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    *("$recycle.bin", "system volume information", "lost+found"),
}

# Raise it whenever decoding, cropping, turning, resizing or `models.preprocessing` gives other
# pixels than before: descriptors kept on disk are then made anew.
PIXELS_VERSION = 3

# JPEGs become the pixels that Pillow gives, to the last bit. TensorFlow's own choice is up to 8 of
# 256 levels off, which moves descriptors, and is no faster.
_DCT = "INTEGER_ACCURATE"

# What `decode_scaled` divides sides by.
RATIOS = (1, 2, 4, 8)


def decode_image(data):
    """Bytes of an image file to uint8 RGB `(height, width, 3)`, as stored.

    JPEG and PNG are decoded by ops of TensorFlow, all else by Pillow, in one op: branches that are
    not taken cost time too, and graphs within that op would wait for the threads that wait for it.
    """

    def of_others():
        image = _by_numpy(pillow_files.decode, data, tf.uint8)
        image = tf.ensure_shape(image, [None, None, 3])
        is_decoded = tf.debugging.Assert(tf.size(image) > 0, ["no image that can be decoded"])
        with tf.control_dependencies([is_decoded]):
            return tf.identity(image)

    of_png = (_is_png(data), lambda: _png_op(data))
    return tf.case([(tf.io.is_jpeg(data), lambda: _decode_jpeg(data)), of_png], default=of_others)


def decode_upright(data):
    """As `decode_image`, turned upright."""
    return turn_upright(decode_image(data), _orientation(data))


# Walks are slow outside of a graph.
_SPECS = tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)
_header = tf.function(image_header, _SPECS, autograph=False)


def for_export(data, is_upright, max_pixels=DEFAULT_MAX_PIXELS):
    """Bytes of an image file as an export takes them: what Pillow decodes elsewhere is a PNG.

    It is turned upright, or not. A GIF is among them, since TensorFlow reads some that are damaged.
    What can't be decoded becomes no bytes, which no export takes for an image.
    """
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return data
    if not data.startswith(b"GIF") and tf.reduce_all(_header(data, max_pixels) > 0):
        return data
    pixels = pillow_files.decode(data, max_pixels)
    if not pixels.size:
        return b""
    orientation = pillow_files.orientation(data) if is_upright else 1
    return tf.io.encode_png(turn_upright(pixels, orientation)).numpy()


def decode_in_graph(data):
    """As `decode_image` by ops of TensorFlow alone, of what `image_header` knows."""
    kinds = [
        (tf.io.is_jpeg(data), lambda: _decode_jpeg(data)),
        (_is_png(data), lambda: _png(data)),
        (has(data, 0, b"BM"), lambda: tf.io.decode_bmp(data)[..., :3]),
    ]
    return tf.case(kinds, default=lambda: _decode_webp_or_gif(data))


def _by_numpy(function, data, dtype):
    # In an array: NumPy takes zeros off the end of a scalar of bytes.
    arguments = [tf.expand_dims(data, 0)]
    return tf.numpy_function(lambda x: function(x[0]), arguments, dtype, stateful=False)


def _is_png(data):
    return has(data, 0, b"\x89PNG")


def _orientation(data):
    """`exif.orientation_of`, by Pillow: in a quarter of the time that a walk in ops takes."""
    return tf.ensure_shape(_by_numpy(pillow_files.orientation, data, tf.int32), [])


def _decode_jpeg(data, ratio=1):
    return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method=_DCT)


def _png(data):
    """With four channels only where there is transparency: it takes longer, of palettes wrongly."""
    has_alpha = integer(data, 25, 1) >= 4
    _, transparent = find_part(data, PNG, *map(int.from_bytes, (b"tRNS", b"IDAT")))
    return tf.cond(
        has_alpha | (transparent > 0),
        lambda: _on_white(tf.io.decode_png(data, channels=4)),
        lambda: tf.io.decode_png(data, channels=3),
    )


def _decode_webp_or_gif(data):
    image = tf.ensure_shape(tf.io.decode_image(data, expand_animations=False), [None, None, None])
    image = tf.cond(tf.shape(image)[2] == 4, lambda: _on_white(image), lambda: image)
    return tf.ensure_shape(image, [None, None, 3])


_png_op = tf.function(
    _png, _SPECS[:1], autograph=False, experimental_attributes={"_noinline": True}
)


def _on_white(image):
    """Flattens `(height, width, 4)`, uint8."""
    colour, alpha = tf.split(tf.cast(image, tf.int32), [3, 1], axis=-1)
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


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


def decode_window(data, window, is_upright=False, max_pixels=DEFAULT_MAX_PIXELS):
    """Decodes a part of an image; of a JPEG no more than that, which saves most of the rest.

    The pixels are those that `decode_image` or `decode_upright` gives, but for the first and the
    last column (as stored) of a JPEG with reduced colours, where colours aren't interpolated with
    those beyond.

    Args:
        data: As of `decode_image`.
        window: Called with the shape `(3,)` of the image, returns `(offset, size)`, int32 `(3,)`
            each, as `tf.slice` takes them.
        is_upright: Whether the image is turned upright, of which the window is then.
        max_pixels: An image of more is an `InvalidArgumentError`, before it is decoded.
    """
    if not is_upright:
        return _decode_part(data, window, max_pixels)
    orientation = _orientation(data)

    def stored_window(shape):
        sides = tf.where(is_lying(orientation), shape[1::-1], shape[:2])
        offset, size = window(tf.concat([sides, shape[2:]], 0))
        corner, sides = stored_part(offset[:2], size[:2], sides, orientation)
        return tf.concat([corner, offset[2:]], 0), tf.concat([sides, size[2:]], 0)

    return turn_upright(_decode_part(data, stored_window, max_pixels), orientation)


def _decode_part(data, window, max_pixels):
    is_jpeg = tf.io.is_jpeg(data)
    # Of other files all is decoded first, since nothing else tells their shape.
    nothing = tf.zeros([0, 0, 3], tf.uint8)

    def of_others():
        count = _by_numpy(lambda x: np.prod(pillow_files.sides(x)), data, tf.int64)
        with tf.control_dependencies([tf.debugging.assert_less_equal(count, most)]):
            return decode_image(data)

    most = tf.constant(max_pixels, tf.int64)
    whole = tf.cond(is_jpeg, lambda: nothing, of_others)
    shape = tf.cond(is_jpeg, lambda: tf.image.extract_jpeg_shape(data), lambda: tf.shape(whole))
    count = tf.reduce_prod(tf.cast(shape[:2], tf.int64))
    with tf.control_dependencies([tf.debugging.assert_less_equal(count, most)]):
        offset, size = window(shape)

    def of_jpeg():
        box = tf.concat([offset[:2], size[:2]], 0)
        return tf.image.decode_and_crop_jpeg(data, box, channels=3, dct_method=_DCT)

    return tf.cond(is_jpeg, of_jpeg, lambda: tf.slice(whole, offset, size))


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
    """`(height, width)` of an image file as stored, from its header; errors of `read_header`."""
    return read_header(path)[:2]


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


def visible_images(paths, left_out):
    """Those of the files that are `visible` and named as images are; others to `left_out`."""
    found = visible(paths, left_out)
    names = [os.fsdecode(path).lower().endswith(IMAGE_SUFFIXES) for path in found]
    left_out += [path for path, is_image in zip(found, names, strict=True) if not is_image]
    return [path for path, is_image in zip(found, names, strict=True) if is_image]


def say_left_out(folder, left_out):
    """Logs what was left out below a folder, in one line, if anything was."""
    parts, hidden = [], []
    others = visible(left_out, hidden)
    if hidden:
        count, first = len(hidden), os.fsdecode(hidden[0])
        parts.append(
            f"{count} hidden files and folders, or of the system, are left out, such as {first}"
        )
    if others:
        endings = Counter(Path(os.fsdecode(path)).suffix.lower() or "no suffix" for path in others)
        counts = ", ".join(f"{count} {each}" for each, count in endings.most_common())
        parts.append(f"{len(others)} that aren't named as images are left out ({counts})")
    if parts:
        _LOG.warning("%s: %s", folder, "; ".join(parts))


def images_below(folder):
    """Paths of the image files in a folder and below it, sorted list of strings.

    What is not `visible` is left out. Links to folders are not followed.
    """
    found, left_out = [], []
    for parent, folders, names in os.walk(Path(folder)):
        folders[:] = visible(folders, left_out)
        found += [str(Path(parent, name)) for name in visible_images(names, left_out)]
    say_left_out(folder, left_out)
    return sorted(found)


def check_images(paths, max_pixels=None):
    """Finds the image that a failed pipeline stumbled over.

    Raises:
        UserError: For the first that cannot be read, or has more pixels.
    """
    for path in paths:
        if reason := decoding_failure(path, max_pixels=max_pixels):
            raise UserError(reason)


def decoding_failure(path, size=None, max_pixels=None):
    """A line that names an image file and says what is wrong with it, None where nothing is.

    It must have no more than `max_pixels`, and decode to the size `(height, width)` that its header
    gives, or gave when it was read.
    """
    try:
        stored = read_header(path, max_pixels)[:2]
        size = stored if size is None else size
        height, width, _ = decode_file(path).shape
    except UserError as error:
        return str(error)
    if (height, width) != tuple(size):
        return (
            f"{path}: its header says {size[1]} x {size[0]} pixels, and it decodes to "
            f"{width} x {height}; replace or remove it"
        )
    return None


def read_image(path):
    """The bytes of an image file; `UserError` if it is missing, empty, no file or not readable."""
    with contextlib.suppress(OSError):
        if content_size(path):
            return Path(path).read_bytes()
    raise UserError(unreadable(path))


def decode_file(path, is_upright=False):
    """`decode_image` or `decode_upright` of a file; `UserError` if it is none, or no image."""
    try:
        return (decode_upright if is_upright else decode_image)(read_image(path))
    except tf.errors.InvalidArgumentError as error:
        raise UserError(unreadable(path)) from error
