"""Prepared images: labels mapped from the index, any image read at random from the shards."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.data.labelled import LabelledImages, write_rows
from darac_tf.data.training_sets.preparation import PLAN
from darac_tf.data.training_sets.record_index import RecordIndex
from darac_tf.data.training_sets.shards import FEATURES
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

_BLOCK = 8192


class PreparedImages:
    """A collection as `LabelledImages`, whose images are records rather than files.

    Attributes:
        name: What reports call the collection.
        labels: int64 `(images,)`, indices into `class_names`; as opened, mapped from its file.
        class_names: Names of the classes.
    """

    def __init__(self, folder, index, name, labels, class_names, records=None):
        # `records`, int64 `(images,)`, are the images' in the `RecordIndex`; None for all in order.
        self.name, self.labels, self.class_names = name, labels, tuple(class_names)
        self._folder, self._index, self._records = Path(folder), index, records

    @classmethod
    def open(cls, folder):
        """Maps what `prepare` wrote, reads only labels; `UserError` if unfinished or damaged."""
        index = RecordIndex.open(folder)
        return cls(folder, index, index.name, index.labels, index.class_names)

    def check_orientation(self, orientation):
        """`UserError` if the images were prepared upright, and not as stored, or the reverse."""
        plan = self._folder / PLAN
        own = orientation
        if plan.is_file():
            own = json.loads(plan.read_text(encoding="utf-8")).get("orientation", "stored")
        if own != orientation:
            advice = f"with --orientation={own}, not {orientation}: give that, or prepare it again"
            raise UserError(f"{self._folder} was prepared {advice}")

    def __len__(self):
        return len(self.labels)

    # These go by names, labels, splits and `select` alone, whatever the images are stored in.
    split = LabelledImages.split
    hold_out_classes = LabelledImages.hold_out_classes
    check_for_training = LabelledImages.check_for_training
    image_list = LabelledImages.image_list
    upright, max_pixels = LabelledImages.upright, LabelledImages.max_pixels

    @property
    def splits(self):
        """String array `(images,)`, empty strings where none is given."""
        return np.array(self._index.split_names)[self._of_records("splits")]

    @property
    def paths(self):
        """The files that the images were made of, decoded as far as they are asked for.

        `paths[row]` is a string, `paths[rows]` a string array; the files may be gone by now.
        """
        return _Sources(self._index.sources, self._records)

    def select(self, mask, name=None):
        """As `LabelledImages.select`."""
        rows = np.flatnonzero(mask)
        if not len(rows):
            raise UserError(f"{self.name}: no image is left of the {len(self)}")
        kept, labels = np.unique(self.labels[rows], return_inverse=True)
        names = [self.class_names[label] for label in kept]
        records = rows if self._records is None else self._records[rows]
        return type(self)(self._folder, self._index, name or self.name, labels, names, records)

    def read(self, indices):
        """The files (JPEG) of images, for `tf.data` maps: integer to string tensor, any shape.

        No TensorFlow op reads a part of a file, so that the bytes are fetched by `os.pread` in a
        `tf.numpy_function`. It holds Python's lock for microseconds an image, and not while it
        waits for the disk; parallel maps stay parallel.
        """
        indices = tf.cast(indices, tf.int64)
        rows = tf.reshape(indices, [-1])
        examples = tf.numpy_function(self.examples, [rows], tf.string, stateful=False)
        features = {"image/encoded": FEATURES["image/encoded"]}
        encoded = tf.io.parse_example(tf.ensure_shape(examples, [None]), features)["image/encoded"]
        return tf.reshape(encoded, tf.shape(indices))

    def write_csv(self, path):
        """Writes `path,label,split` with the absolute paths that the images were made of."""
        write_rows(path, self._rows())

    def _rows(self):
        names, splits = self._index.split_names, self._of_records("splits")
        # In blocks, as the paths of all would take much memory once they are decoded.
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            columns = self.paths[block], self.labels[block].tolist(), splits[block].tolist()
            for source, label, split in zip(*columns, strict=True):
                yield source, self.class_names[label], names[split]

    def extract(self, folder):
        """Writes the images as `folder/<label>/<row>.jpg`: for a few, to validate on.

        Returns them as `LabelledImages`. What an earlier call wrote there is taken.

        Raises:
            UserError: If the folder holds other images, or can't be written.
        """
        folder = Path(folder)
        places = [f"{label:06d}/{row:08d}.jpg" for row, label in enumerate(self.labels)]
        if not folder.is_dir():
            with atomic_path(folder) as temporary:
                for row, place in enumerate(places):
                    (temporary / place).parent.mkdir(parents=True, exist_ok=True)
                    (temporary / place).write_bytes(self.read(row).numpy())
        elif {str(file.relative_to(folder)) for file in folder.glob("*/*")} != set(places):
            raise UserError(f"{folder}: holds other images; remove it")
        paths = np.array([str(folder / place) for place in places])
        return LabelledImages(
            self.name, paths, np.array(self.labels), self.class_names, self.splits
        )

    def _of_records(self, name):
        array = getattr(self._index, name)
        return array if self._records is None else array[self._records]

    def examples(self, rows):
        """Object array of the serialised examples of images; `UserError` if one is damaged."""
        index, examples = self._index, np.empty(len(rows), object)
        for place, record in enumerate(rows if self._records is None else self._records[rows]):
            path = self._folder / index.shard_names[index.shards[record]]
            length = int(index.lengths[record])
            # Opened each time: shards may be more than a process may have open.
            file = os.open(path, os.O_RDONLY)
            try:
                examples[place] = os.pread(file, length, int(index.offsets[record]))
            finally:
                os.close(file)
            if zlib.crc32(examples[place]) != index.checksums[record]:
                raise UserError(
                    f"{path}: record {record} is damaged: remove the file and "
                    f"{self._folder}/index, and prepare again into the same folder"
                )
        return examples


class _Sources:
    def __init__(self, sources, records):
        self._sources, self._records = sources, records

    def __len__(self):
        return len(self._sources if self._records is None else self._records)

    def __getitem__(self, rows):
        records = rows if self._records is None else self._records[rows]
        found = np.char.decode(self._sources[records], "utf-8", "surrogateescape")
        return found if found.ndim else str(found)


def read_prepared(folder):
    """What `prepare` wrote, without the classes of which fewer than two images were left.

    `UserError` if it isn't finished, damaged, or no class has two images.
    """
    images = PreparedImages.open(folder)
    enough = np.bincount(images.labels, minlength=len(images.class_names)) >= 2
    return images if enough.all() else images.select(enough[images.labels])
