"""How an image is turned upright: the Exif orientation of its file, in TensorFlow ops and without.

An export walks over a file from part to part, segments of JPEG, chunks of PNG and WebP, by a few
ops for all; elsewhere Pillow finds the part (`pillow_files`), and `orientation_in` reads it.
`ImageOps.exif_transpose` of Pillow turns by the same table.
Sources: Exif 2.32, section 4.6.4, tag 0x0112; PNG 3, section 11.3.3.5; WebP's container.
"""

from functools import partial

import numpy as np
import tensorflow as tf

# Parts of a file that are walked over at most; the walk takes some microseconds for each.
MAX_PARTS = 65_536
_TAG, _SHORT, _PREFIX = 0x0112, 3, b"Exif\0\0"
_MAX_BLOCK = 65_533  # Bytes of Exif that are looked at; a JPEG segment holds no more.
# Of orientations 1 to 8, the axes that are reversed, after an exchange of both from 5 on.
_REVERSED = ((), (1,), (0, 1), (0,), (), (1,), (0, 1), (0,))

JPEG, PNG, WEBP = range(3)
# Of each: where the parts begin; the bytes of a part before its content, and those that its length
# leaves out; the names of Exif, and of the last part that is looked at.
_FIRST, _BEFORE, _BESIDES = np.array([[2, 8, 12], [4, 8, 8], [2, 12, 8]])
_EXIF = np.array([*map(int.from_bytes, (b"\xff\xe1Exif", b"eXIf", b"EXIF"))])
_LAST = np.array([*map(int.from_bytes, (b"\xff\xda", b"IEND", b""))])
# The bytes of a part that are its kind, its name (of JPEG with what its content begins with), and
# its length, from the one that counts most to the one that counts least.
_A, _B = (0, 1, 2, 3), (4, 5, 6, 7)
_PLACES = ((0, 1), (0, 1, *_B), (2, 3), _B, _B, _A, _A, _A, _B[::-1])
_FIELDS = np.zeros((3, 3, 10), np.int64)
for _each, _places in zip(_FIELDS.reshape(9, 10), _PLACES, strict=True):
    _each[list(_places[::-1])] = [256**i for i in range(len(_places))]


def orientation_of(data):
    """Exif orientation of a JPEG, PNG or WebP file: a scalar string to int32, 1 to 8.

    1 where there is none, as in files of other kinds, or none that is whole and allowed.
    """
    is_kind = [has(data, 0, b"\xff\xd8\xff"), has(data, 0, b"\x89PNG"), has(data, 8, b"WEBP")]
    kind = tf.argmax(is_kind)
    start, length = find_part(data, kind, tf.gather(_EXIF, kind), tf.gather(_LAST, kind))
    block = substring(data, start, tf.minimum(length, _MAX_BLOCK))
    is_there = (length > 0) & tf.reduce_any(is_kind)
    return tf.cond(is_there, lambda: _of_block(block), lambda: tf.constant(1))


def find_part(data, kind, name, last):
    """Walks over the parts of a file: where the content of one begins, and its bytes, int64.

    Of a scalar string, one of `JPEG`, `PNG` and `WEBP`, and the name of the part and of the one to
    stop at, as numbers. Both are 0 if there is none.
    """
    end = tf.cast(tf.strings.length(data), tf.int64)
    kind, one = tf.convert_to_tensor(kind), tf.constant(1, tf.int64)
    fields, besides = tf.gather(_FIELDS, kind), tf.gather(_BESIDES, kind)
    first_marker = tf.where(kind == JPEG, tf.constant(0xFF00, tf.int64), 0)

    def read(at):
        content = tf.io.decode_raw(tf.strings.substr(data, at, 10), tf.uint8, fixed_length=10)
        return tf.unstack(tf.reduce_sum(fields * tf.cast(content, tf.int64), axis=1))

    def step(at, _, steps):
        short, long, length = read(at)
        size = besides + length + tf.where(kind == WEBP, length % 2, 0)
        size = tf.where((kind == JPEG) & (short == 0xFFFF), one, size)  # 0xFF may be repeated
        following = tf.where((short == last) | (short < first_marker), end, at + size)
        is_found = long == name
        return tf.where(is_found, at, following), is_found, steps + 1

    at, is_found, _ = tf.while_loop(
        lambda at, is_found, steps: ~is_found & (at <= end - 10) & (steps < MAX_PARTS),
        step,
        (tf.gather(_FIRST, kind), tf.constant(False), 0),
        parallel_iterations=1,
    )
    *_, length = read(tf.where(is_found, at, 0))
    length -= tf.where(kind == JPEG, tf.constant(2, tf.int64), 0)
    zero = tf.constant(0, tf.int64)
    return tf.where(is_found, at + tf.gather(_BEFORE, kind), zero), tf.where(is_found, length, zero)


def is_lying(orientation):
    """Whether height and width change places; of an int, or arrays or tensors of them."""
    return orientation > 4


def lying_portraits(count, total, example):
    """Says that portraits among some images are laid on their sides by their Exif orientation.

    Cameras store what they took in portrait as a landscape with the tag.
    """
    return (
        f"{count} of {total} images are stored as portraits and made landscapes by their Exif "
        f"orientation, such as {example}: if a tool has turned them and left the tag, "
    )


def turn_upright(image, orientation):
    """Turns and mirrors `(height, width, 3)` of an Exif orientation, int or int32 scalar."""
    orientation = tf.convert_to_tensor(orientation, tf.int32)
    exchanged = partial(tf.transpose, image, [1, 0, 2])
    image = tf.cond(is_lying(orientation), exchanged, lambda: image)
    # Slices of step 1 copy nothing.
    down, right = tf.unstack(1 - 2 * tf.cast(_is_reversed(orientation), tf.int32))
    return tf.ensure_shape(image[::down, ::right], [None, None, 3])


def stored_part(offset, size, shape, orientation):
    """Where a part of an upright image is in the image as it is stored: its corner, and its size.

    Of the corner, the size, and the size of the whole, as they are upright, int32 `(2,)` each: y or
    height, x or width. The orientation is an int32 scalar.
    """
    offset = tf.where(_is_reversed(orientation), shape - offset - size, offset)
    order = tf.where(is_lying(orientation), [1, 0], [0, 1])
    return tf.gather(offset, order), tf.gather(size, order)


def orientation_in(block):
    """As `orientation_of`, of the bytes that such a part has as its content, without TensorFlow."""
    block = block.removeprefix(_PREFIX)[:_MAX_BLOCK]
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(block[:4])

    def number(at, length=2):
        return int.from_bytes(block[at : at + length], order)

    if order is None:
        return 1
    first = number(4, 4) + 2
    for at in range(first, min(first + 12 * number(first - 2), len(block) - 11), 12):
        if number(at) == _TAG:
            is_known = number(at + 2) == _SHORT and 1 <= number(at + 8) <= 8
            return number(at + 8) if is_known else 1
    return 1


def _of_block(block):
    """`orientation_in` in TensorFlow."""
    block = substring(block, tf.where(has(block, 0, _PREFIX), len(_PREFIX), 0), _MAX_BLOCK)
    size, is_little = tf.cast(tf.strings.length(block), tf.int64), has(block, 0, b"II*\0")
    first = _number(_bytes_at(block, 4, 4), is_little) + 2
    is_exif = (is_little | has(block, 0, b"MM\0*")) & (first <= size)
    first = tf.where(is_exif, first, size + 2)
    count = _number(_bytes_at(block, first - 2, 2), is_little)
    # Entries that are whole, and one of zeros, which is none.
    count = tf.where(is_exif, tf.minimum(count, (size - first) // 12), 0)
    content = tf.io.decode_raw(substring(block, first, 12 * count), tf.uint8)
    entries = tf.reshape(tf.pad(tf.cast(content, tf.int64), [[0, 12]]), [-1, 12])
    entry = entries[tf.argmax(_number(entries[:, :2], is_little) == _TAG)]
    tag, kind, value = (_number(entry[at : at + 2], is_little) for at in (0, 2, 8))
    is_known = (tag == _TAG) & (kind == _SHORT) & (value >= 1) & (value <= 8)
    return tf.cast(tf.where(is_known, value, 1), tf.int32)


def _is_reversed(orientation):
    """Whether rows are reversed, and columns: bool `(2,)`."""
    return tf.gather([[axis in axes for axis in (0, 1)] for axes in _REVERSED], orientation - 1)


def has(data, at, magic):
    """Whether a string has some bytes at a place."""
    return substring(data, at, len(magic)) == magic


def integer(data, at, length, little_endian=True):
    """An unsigned integer of `length` bytes, int64; bytes beyond the end of the data are 0."""
    return _number(_bytes_at(data, at, length), little_endian)


def substring(data, at, length):
    """Bytes of a string; fewer or none where it ends, at which `tf.strings.substr` fails."""
    at, length = tf.cast(at, tf.int64), tf.cast(length, tf.int64)
    start = tf.minimum(at, tf.cast(tf.strings.length(data), tf.int64))
    return tf.strings.substr(data, start, length)


def _bytes_at(data, at, length):
    content = tf.io.decode_raw(substring(data, at, length), tf.uint8, fixed_length=length)
    return tf.reshape(tf.cast(content, tf.int64), [length])


def _number(values, is_little=False):
    """The integer that bytes along the last axis are, int64."""
    little = np.array([1 << 8 * i for i in range(values.shape[-1])])
    return tf.reduce_sum(values * tf.where(is_little, little, little[::-1]), axis=-1)
