"""Sets of TensorFlow Datasets (TFDS), as image files with labels.

TFDS keeps images in record files, and training and evaluation read image files. So the images of a
split are written as files once, with the bytes that TFDS has, beside its records:

    <data_dir>/<name>[/<config>]/<version>-images/<split>/labels.csv
    <data_dir>/<name>[/<config>]/<version>-images/<split>/0000/0000000.jpg
"""

import contextlib
import dataclasses
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import tensorflow as tf

from darac_tf.data.labelled import CSV_NAME, LabelledImages, read_csv, write_rows
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

PREFIX = "tfds:"
_PER_FOLDER = 1000


def read_tfds(text, data_dir=None):
    """Reads a set that has an image and a label through TFDS, which downloads it if need be.

    Of `NAME[/CONFIG][:SPLIT]`, where SPLIT is as TFDS writes it, such as `train+test[:10%]`, and
    all splits are read without it; and the data folder of TFDS, None for its own default.
    `LabelledImages` whose classes are named as in TFDS, and splits as its splits. Images without a
    label (-1 in TFDS) are left out.

    Raises:
        UserError: If there is no such set, configuration or split, it can't be downloaded, it has
            no image or no label, or the image files can't be written.
    """
    name, _, split = text.partition(":")
    builder = open_builder(name, data_dir)
    images = read_splits(builder, split.split("+") if split else list(builder.info.splits))
    return dataclasses.replace(images, name=text)


def open_builder(name, data_dir, download=True):
    """The TFDS builder of the newest version of `NAME[/CONFIG]` that is prepared in `data_dir`.

    `data_dir` is the data folder of TFDS; None for its own default. A set that isn't prepared is,
    with `download`. `UserError` if there is no such set or configuration, or it isn't prepared and
    can't be.
    """
    import tensorflow_datasets as tfds  # slow to import, and most runs need none of it

    by_hand = f"`tfds build {name}" + (f" --data_dir={data_dir}`" if data_dir else "`")
    try:
        builder = tfds.builder(name, data_dir=data_dir, version="*.*.*")
        if download:
            if builder.info.features is not None:
                _image_and_label(builder.info)  # before much is downloaded in vain
            # It prints, and standard output is for results.
            with contextlib.redirect_stdout(sys.stderr):
                builder.download_and_prepare()
    except UserError:
        raise
    # Code of each set runs here; a lack of network alone gives errors of many kinds.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"--dataset={PREFIX}{name}: TensorFlow Datasets can't prepare it ({reason}); run "
            f"{by_hand} where the network allows it, or correct the name"
        ) from error
    if not builder.is_prepared():
        raise UserError(
            f"--data_dir: no {name} prepared by TensorFlow Datasets in {data_dir}: run {by_hand} "
            "once, which downloads it"
        )
    return builder


def read_splits(builder, splits):
    """As `read_tfds`, of a set of `open_builder`; writes the image files that aren't there yet.

    `splits` are splits or parts of them, as TFDS writes them.
    """
    prepared, rows = Path(builder.data_dir), []
    for split in dict.fromkeys(splits):
        try:
            builder.info.splits[split]
        except (KeyError, ValueError, AssertionError) as error:
            known = ", ".join(builder.info.splits)
            raise UserError(
                f"--dataset={PREFIX}{builder.name}: no split {split!r}; choose from {known}, parts "
                "of them such as train[:10%], and several with + between them"
            ) from error
        folder = prepared.with_name(f"{prepared.name}-images") / quote(split, safe="")
        if not folder.is_dir():
            with atomic_path(folder) as temporary:
                _write_images(builder, split, temporary)
        rows += read_csv(folder).rows()
    return LabelledImages.from_rows(builder.name, rows)


def _write_images(builder, split, folder):
    import tensorflow_datasets as tfds

    image, label = _image_and_label(builder.info)
    decoders = tfds.decode.PartialDecoding(
        {image: True, label: True}, decoders={image: tfds.decode.SkipDecoding()}
    )
    class_name, rows = getattr(builder.info.features[label], "int2str", str), []
    try:
        examples = builder.as_dataset(split=split, decoders=decoders)
        for number, example in enumerate(examples.as_numpy_iterator()):
            if example[label] < 0:
                continue
            ending = "png" if example[image].startswith(b"\x89PNG") else "jpg"
            path = Path(f"{number // _PER_FOLDER:04d}", f"{number:07d}.{ending}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(example[image])
            rows.append((path, class_name(int(example[label])), split.partition("[")[0]))
    except tf.errors.OpError as error:
        raise UserError(f"{builder.data_dir}: is damaged; let TFDS build it anew") from error
    if not rows:
        raise UserError(
            f"--dataset={PREFIX}{builder.name}: no image with a label in {split}; name the splits "
            "that have labels"
        )
    write_rows(folder / CSV_NAME, rows)


def _image_and_label(info):
    """The names of the two features that are read: the only ones, or those that stand out."""
    import tensorflow_datasets as tfds

    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    items = features.items()
    images = [n for n, f in items if type(f) is tfds.features.Image and f.np_dtype == np.uint8]
    numbers = [n for n, f in items if f.shape == () and np.issubdtype(f.np_dtype, np.integer)]
    # Masks and depth maps, images of other types, are none of these.
    classes = [n for n in numbers if isinstance(features[n], tfds.features.ClassLabel)]
    chosen = []
    for what, names in (("image", images), ("label", classes or numbers)):
        # What TFDS itself calls input and target stands out, then the usual name.
        preferred = [name for name in (*(info.supervised_keys or ()), what) if name in names]
        if not preferred and len(names) != 1:
            raise UserError(
                f"--dataset={PREFIX}{info.name}: has {'several' if names else 'no'} features that "
                f"may be the {what} ({', '.join(features)}); name a set of images with a class each"
            )
        chosen += (preferred or names)[:1]
    return chosen
