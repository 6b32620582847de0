"""What Pillow reads of image files: headers, and the pixels of kinds that TensorFlow doesn't know.

HEIC and JPEG XL are read where the packages pillow-heif and pillow-jxl-plugin are installed.
"""

import contextlib
import importlib
import io
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from darac_tf.choices import DEFAULT_MAX_PIXELS
from darac_tf.data.exif import MAX_PARTS, is_lying, orientation_in
from darac_tf.errors import UserError

# `max_pixels` is checked here: Pillow's own check warns, and can't be raised.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")  # Of Exif that is broken, which counts as none.

_ERRORS = (OSError, ValueError, SyntaxError, EOFError, MemoryError, RuntimeError)
KINDS = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF or JPEG XL"
# Of kinds that take a package of their own: where and how a file begins, what is to be installed.
_PACKAGES = {
    ".heic": (4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1"), "pillow-heif"),
    ".avif": (4, (b"ftypavi",), "'pillow>=11.3'"),
    ".jxl": (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), "pillow-jxl-plugin"),
}
# Whole numbers of 32 bits, and floating-point numbers.
_ENDLESS = ("I", "F")
with contextlib.suppress(ImportError):
    importlib.import_module("pillow_heif").register_heif_opener()
with contextlib.suppress(ImportError):
    importlib.import_module("pillow_jxl")  # Registers itself.


def read_header(path, max_pixels=DEFAULT_MAX_PIXELS):
    """`(height, width, Exif orientation)` of an image file as stored, from its header.

    `UserError` if the file is missing, empty, no image, of more than `max_pixels` (None: any), or
    of a kind of pixels that RGB can't be made of.
    """
    if not content_size(path):  # A pipe would make this wait for ever.
        raise UserError(unreadable(path))
    try:
        with Image.open(path) as image:
            (width, height), mode, orientation = image.size, image.mode, _orientation(image)
    except _ERRORS as error:  # also what Pillow can't identify
        raise UserError(unreadable(path)) from error
    if not height or not width:
        raise UserError(unreadable(path))
    if mode in _ENDLESS:
        raise UserError(f"{path}: pixels of mode {mode} have no white: convert it to 8 or 16 bits")
    if max_pixels is not None and height * width > max_pixels:
        raise UserError(
            f"{path}: has {width} x {height} pixels, and --max_pixels={max_pixels} allows no more; "
            "raise it, or make the image smaller"
        )
    return height, width, orientation


def decode(data, max_pixels=None):
    """RGB of the bytes of an image file as stored: uint8 `(height, width, 3)`.

    What can't be decoded, or has more pixels, is `(0, 0, 3)`. Runs in threads of TensorFlow, as
    `orientation` does: graphs in them could wait for each other.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise ValueError(image.size)
            return np.asarray(_rgb(image))
    except _ERRORS:
        return np.zeros((0, 0, 3), np.uint8)


def orientation(data):
    """Exif orientation of the bytes of an image file, np.int32, 1 if there is none."""
    with contextlib.suppress(*_ERRORS), Image.open(io.BytesIO(data)) as image:
        return np.int32(_orientation(image))
    return np.int32(1)


def is_lying_portrait(data):
    """Whether the bytes of an image file are of a portrait that its Exif orientation lays down."""
    with contextlib.suppress(*_ERRORS), Image.open(io.BytesIO(data)) as image:
        return image.height > image.width and is_lying(_orientation(image))
    return False


def sides(data):
    """`(height, width)` of the bytes of an image file as stored; zeros where no header says so."""
    with contextlib.suppress(*_ERRORS), Image.open(io.BytesIO(data)) as image:
        return image.height, image.width
    return 0, 0


def _rgb(image):
    if image.mode.startswith("I;16"):  # Pillow makes all above 255 white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in _ENDLESS:
        raise ValueError(image.mode)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _orientation(image):
    """Of an image that was opened, not yet read; TIFF, HEIC and JPEG XL turn as they are read."""
    exif = b""
    if image.format in ("JPEG", "MPO", "WEBP", "AVIF"):
        exif = image.info.get("exif", b"")
    elif image.format == "PNG":
        exif = _png_exif(image.fp)
    return orientation_in(exif)


def _png_exif(file):
    """The content of the chunk eXIf, which may stand behind the pixels."""
    position = 8
    for _ in range(MAX_PARTS):
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return file.read(length)
        if len(head) < 8 or head[4:] == b"IEND":
            break
        position += 12 + length
    return b""


def content_size(path):
    """The size of a file in bytes, 0 where there is none, or a folder, or a pipe."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path each is slow for a million
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


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
    with Path(path).open("rb") as file:
        head = file.read(16)
    for suffix, (at, starts, package) in _PACKAGES.items():
        if head[at:].startswith(starts) and suffix not in Image.registered_extensions():
            return f"{path}: to read {suffix} files, pip install {package}"
    return f"{path}: cannot be decoded as {KINDS}; replace or remove it"
