"""One shard of a prepared set: images decoded, made smaller and written as TFRecord examples."""

import json
import os
import zlib
from typing import NamedTuple

import tensorflow as tf

from darac_tf.data.images import (
    decode_image,
    decode_upright,
    read_image,
    resize,
    unreadable,
)
from darac_tf.data.pillow_files import read_header
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

# TFRecord framing: the length (8 bytes) and its checksum (4) before the data, a checksum (4) after.
_BEFORE, _AFTER = 12, 4


class Shard(NamedTuple):
    """What a shard holds: lists with an entry for each record, in order, and what is not in it."""

    rows: list[int]  # of the collection
    offsets: list[int]  # byte at which the example begins, after the framing
    lengths: list[int]  # bytes of the example
    checksums: list[int]  # CRC-32 of the example (`zlib.crc32`)
    dropped: list[tuple[int, str]]  # rows of the images left out, and the reasons


class Stopped(Exception):  # noqa: N818 - no error: another thread has failed
    """The preparation ends before the shard is done."""


def make_encoder(size, quality, is_upright=True):
    """Function of an image file to a JPEG, scalar string tensors; `size`, `quality` of `prepare`.

    Images are turned upright, or left as stored.

    It is traced once, and raises `tf.errors.InvalidArgumentError` for what is no image.
    """

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def encode(data):
        image = decode_upright(data) if is_upright else decode_image(data)
        height, width = tf.unstack(tf.shape(image)[:2])
        shorter = tf.minimum(height, width)
        # Rounded to the nearest in integers, at least 1, as `images.scaled_size` does.
        to_size = [(2 * side * size + shorter) // (2 * shorter) for side in (height, width)]
        if shorter > size:
            image = tf.saturate_cast(tf.round(resize(image, *to_size)), tf.uint8)
        return tf.io.encode_jpeg(image, quality=quality)

    return encode


def write_shard(path, images, rows, encode, stopped):
    """Writes the shard of `images[rows]`, and after it the JSON file that says what it holds.

    Returns it as `Shard`. Once the event `stopped` is set, it raises `Stopped` and leaves nothing.
    """
    shard, end = Shard([], [], [], [], []), 0
    with atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for row in map(int, rows):
            if stopped.is_set():
                raise Stopped
            try:
                # The size first: a file of a few kilobytes may decode to gigabytes.
                read_header(images.paths[row], images.max_pixels)
                data = encode(read_image(images.paths[row])).numpy()
            except UserError as error:
                shard.dropped.append((row, str(error)))
                continue
            except tf.errors.InvalidArgumentError:
                shard.dropped.append((row, unreadable(images.paths[row])))
                continue
            example = _example(images, row, data)
            writer.write(example)
            shard.rows.append(row)
            shard.offsets.append(end + _BEFORE)
            shard.lengths.append(len(example))
            shard.checksums.append(zlib.crc32(example))
            end += _BEFORE + len(example) + _AFTER
    with atomic_path(_notes(path)) as temporary:
        temporary.write_text(json.dumps(shard._asdict()), encoding="utf-8")
    return shard


def read_shard(path):
    """The `Shard` that `write_shard` finished, or None where it has to be written (again)."""
    try:
        shard = Shard(**json.loads(_notes(path).read_text(encoding="utf-8")))
        size = shard.offsets[-1] + shard.lengths[-1] + _AFTER if shard.rows else 0
        return shard if path.stat().st_size == size else None
    except (OSError, ValueError, TypeError):
        return None


FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "class/label": tf.io.FixedLenFeature([], tf.int64),
    "class/name": tf.io.FixedLenFeature([], tf.string),
    "source": tf.io.FixedLenFeature([], tf.string),
}


def absolute(path):
    """The absolute path of an image as a byte string, as sources are stored."""
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - a Path each is slow for a million


def _example(images, row, data):
    label = int(images.labels[row])
    text = {
        "image/encoded": data,
        "class/name": images.class_names[label].encode(),
        "source": absolute(images.paths[row]),
    }
    example = tf.train.Example()
    for name, value in text.items():
        example.features.feature[name].bytes_list.value.append(value)
    example.features.feature["class/label"].int64_list.value.append(label)
    return example.SerializeToString(deterministic=True)


def _notes(path):
    return path.with_suffix(".json")
