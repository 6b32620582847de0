"""Descriptors in TensorBoard's embedding projector, each with its class and a small picture."""

import cv2
import numpy as np
from google.protobuf import text_format
from tensorboard.plugins.projector import ProjectorConfig

from darac_tf.files import atomic_path
from darac_tf.reports.thumbnails import thumbnail

_MOST, _SIDE = 1000, 48
_VECTORS, _METADATA, _SPRITE = "descriptors.tsv", "classes.tsv", "images.png"


def write_projector(folder, descriptors, images):
    """Writes the files that the projector reads from a TensorBoard folder.

    Args:
        folder: Folder of the events.
        descriptors: float `(images, dim)`.
        images: `LabelledImages`; of more than 1000, evenly spread ones are shown.

    Raises:
        UserError: If the files can't be written, or an image can't be read.
    """
    shown = np.unique(np.linspace(0, len(images) - 1, _MOST).astype(int))
    with atomic_path(folder / _VECTORS) as path:
        np.savetxt(path, np.asarray(descriptors)[shown], fmt="%.5g", delimiter="\t")
    with atomic_path(folder / _METADATA) as path:
        names = (str(images.class_names[images.labels[row]]) for row in shown)
        path.write_text("".join(" ".join(name.split()) + "\n" for name in names))
    if not (folder / _SPRITE).exists():  # Images stay the same.
        with atomic_path(folder / _SPRITE) as path:
            cv2.imwrite(str(path), sprite([images.paths[row] for row in shown])[:, :, ::-1])
    config = ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="validation", tensor_path=_VECTORS, metadata_path=_METADATA
    )
    embedding.sprite.image_path = _SPRITE
    embedding.sprite.single_image_dim.extend([_SIDE, _SIDE])
    with atomic_path(folder / "projector_config.pbtxt") as path:
        path.write_text(text_format.MessageToString(config))


def sprite(paths):
    """Small pictures side by side, row by row, as many columns as rows or one more.

    Args:
        paths: Image files.

    Returns:
        uint8 RGB `(48 * rows, 48 * columns, 3)`.

    Raises:
        UserError: If an image can't be read.
    """
    columns = int(np.ceil(np.sqrt(len(paths))))
    rows = -(-len(paths) // columns)
    canvas = np.zeros((rows * _SIDE, columns * _SIDE, 3), np.uint8)
    for place, path in enumerate(paths):
        top, left = _SIDE * (place // columns), _SIDE * (place % columns)
        small = thumbnail(path, _SIDE)
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas
