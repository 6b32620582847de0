"""CUB-200-2011 and Cars196, read from what TensorFlow Datasets has prepared; never downloaded.

TFDS keeps images in record files, and training and evaluation read image files. So the images are
written as files once, with the bytes TFDS has, to `<data_dir>/<name>/<version>-files`.
"""

from pathlib import Path

from darac_tf.data.labelled import LabelledImages
from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.errors import UserError
from darac_tf.files import atomic_path

_SPLITS = ("train", "test")


def prepared_folder(kind, data_dir):
    """The newest version of a set that TFDS has prepared in `data_dir`.

    Raises:
        UserError: If there is none.
    """
    name = TRAINING_SETS[kind].tfds_name
    folders = [path.parent for path in Path(data_dir, name).glob("*/dataset_info.json")]
    if not folders:
        raise UserError(
            f"--data_dir: no {name} prepared by TensorFlow Datasets in {data_dir}: run "
            f"`tfds build {name} --data_dir={data_dir}` once, which downloads it"
        )
    return max(folders, key=_version)


def tfds_builder(kind, data_dir):
    """The TFDS builder over the prepared files, which can only read.

    Raises:
        UserError: If nothing is prepared, or not both splits.
    """
    import tensorflow_datasets as tfds  # slow to import, and most runs need none of it

    folder = prepared_folder(kind, data_dir)
    builder = tfds.builder_from_directory(folder)
    missing = set(_SPLITS) - set(builder.info.splits)
    if missing:
        raise UserError(f"{folder}: has no split {min(missing)}; let TFDS build it anew")
    return builder


def read_tfds(kind, data_dir):
    """Reads a set through TFDS.

    The splits are those of metric learning: `train` is the first half of the classes in the
    published order, `test` the second, so that they share none (Song et al., CVPR
    2016); the set's own splits, which share all classes, are put together.

    Args:
        kind: `"cub200"` or `"cars196"`.
        data_dir: The data folder of TFDS.

    Returns:
        `LabelledImages`, classes named by their number from 001 on.

    Raises:
        UserError: If it is not prepared, or the image files can't be written.
    """
    prepared = prepared_folder(kind, data_dir)
    # Told from the name alone, so that TFDS is not imported again once the files are there.
    folder = prepared.with_name(f"{prepared.name}-files")
    if not folder.is_dir():
        with atomic_path(folder) as temporary:
            _write_files(tfds_builder(kind, data_dir), temporary)
    class_names = sorted(path.name for path in folder.iterdir())
    rows = []
    for number, name in enumerate(class_names):
        split = _SPLITS[number >= len(class_names) // 2]
        rows += [(str(path), name, split) for path in sorted((folder / name).iterdir())]
    return LabelledImages.from_rows(kind, rows)


def _write_files(builder, folder):
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding(
        {"image": True, "label": True}, decoders={"image": tfds.decode.SkipDecoding()}
    )
    for label in range(builder.info.features["label"].num_classes):
        (folder / f"{label + 1:03d}").mkdir(parents=True)
    for split in _SPLITS:
        examples = builder.as_dataset(split=split, decoders=decoders)
        for number, example in enumerate(examples.as_numpy_iterator()):
            class_folder = folder / f"{example['label'] + 1:03d}"
            (class_folder / f"{split}-{number:05d}.jpg").write_bytes(example["image"])


def _version(folder):
    return tuple(int(part) if part.isdigit() else -1 for part in folder.name.split("."))
