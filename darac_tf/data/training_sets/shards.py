"""One shard of a prepared set: images decoded, made smaller and written as TFRecord examples."""

import json
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from darac_tf.data.images import decode_image, resize, unreadable
from darac_tf.files import atomic_path

# TFRecord framing: the length (8 bytes) and its checksum (4) before the data, a checksum (4) after.
_BEFORE, _AFTER = 12, 4


class Shard(NamedTuple):
    """What a shard holds.

    Attributes:
        rows: Rows of the collection that its records are of, in the order of the records.
        offsets: Byte at which each record's example begins, after the framing.
        lengths: Bytes of each example.
        checksums: CRC-32 of each example (`zlib.crc32`).
        dropped: `(row, reason)` of the images that are not in it.
    """

    rows: list[int]
    offsets: list[int]
    lengths: list[int]
    checksums: list[int]
    dropped: list[tuple[int, str]]

    @property
    def size(self):
        """Bytes of the whole file."""
        return self.offsets[-1] + self.lengths[-1] + _AFTER if self.rows else 0


class Stopped(Exception):  # noqa: N818 - no error: another thread has failed
    """The preparation ends before the shard is done."""


def make_encoder(size, quality):
    """Function of the bytes of an image file to those of a JPEG, traced once.

    Args:
        size: Most pixels on the shorter side; smaller images keep their size.
        quality: Of the JPEG, 1 to 100.

    Returns:
        Function of a scalar string tensor to a scalar string tensor. It may be called from
        several threads, and raises `tf.errors.InvalidArgumentError` for what is no image.
    """

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def encode(data):
        image = decode_image(data)
        height, width = tf.unstack(tf.shape(image)[:2])
        shorter = tf.minimum(height, width)
        # Rounded to the nearest in integers, at least 1, as `images.scaled_size` does.
        to_size = [(2 * side * size + shorter) // (2 * shorter) for side in (height, width)]
        if shorter > size:
            image = tf.saturate_cast(tf.round(resize(image, *to_size)), tf.uint8)
        return tf.io.encode_jpeg(image, quality=quality)

    return encode


def write_shard(path, images, rows, encode, stopped):
    """Writes a shard and, after it, the JSON file beside it that says what it holds.

    Args:
        path: The shard's file.
        images: `LabelledImages`.
        rows: Rows of the images it shall hold.
        encode: As `make_encoder` gives it.
        stopped: `threading.Event`: leave off as soon as it is set.

    Returns:
        `Shard`.

    Raises:
        Stopped: If `stopped` was set; nothing is left behind.
        UserError: If the files can't be written.
    """
    shard, end = Shard([], [], [], [], []), 0
    with atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for row in map(int, rows):
            if stopped.is_set():
                raise Stopped
            try:
                data = encode(Path(images.paths[row]).read_bytes()).numpy()
            except (OSError, tf.errors.InvalidArgumentError):
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
        fields = json.loads(_notes(path).read_text(encoding="utf-8"))
        shard = Shard(**fields)
        return shard if Path(path).stat().st_size == shard.size else None
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
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in text.items()
    }
    feature["class/label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    features = tf.train.Features(feature=feature)
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def _notes(path):
    return Path(path).with_suffix(".json")
