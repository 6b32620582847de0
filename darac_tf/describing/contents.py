"""Vectors of image files by what takes their contents, such as a server or an exported model."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from darac_tf.data.content_keys import keys_of_images, view_keys
from darac_tf.data.images import read_image
from darac_tf.describing.feature_cache import CachedRows
from darac_tf.describing.feature_table import FeatureTable
from darac_tf.errors import UserError


def describe_contents(describe_each, paths, kept, made_from, split, progress=True):
    """Describes images; an interrupted call goes on where it stopped.

    Images of the same content are described once, a bad one once a call.

    Args:
        describe_each: Function of an iterable of lists of bytes, contents of image files, to what
            yields `(vectors, valid)` for each list: float32 `(images, dim)` and bool `(images,)`.
        paths: List of image files.
        kept: Folder of a `FeatureTable` where vectors are kept, for the caller to remove.
        made_from: Dictionary of strings and integers that tell the vectors from others. What was
            kept for others is refused.
        split: Function of a list of sizes in bytes to `(start, stop)` of each list of images.
        progress: Whether to show a progress bar.

    Returns:
        Tuple of what reads like a float32 array `(images, dim)`, zeros for bad images; which are
        `valid`, bool `(images,)`; and `keys_of_images`.

    Raises:
        UserError: If an image can't be read, none can be decoded, or `describe_each` fails.
    """
    keys = keys_of_images(paths)
    table = FeatureTable(Path(kept), made_from)
    table.check(table.find(view_keys(keys)))
    lacking = table.find(view_keys(keys)) < 0  # damaged ones too
    missing = np.flatnonzero(lacking & keys.any(axis=1))
    _, first = np.unique(keys[missing], axis=0, return_index=True)
    missing = missing[np.sort(first)]  # one for each content
    sizes = keys[missing, 0].astype(np.int64).tolist()
    requests = [missing[start:stop] for start, stop in split(sizes)]
    batches = ([read_image(paths[row]) for row in rows] for rows in requests)
    counts = {"total": len(keys), "initial": len(keys) - len(missing)}
    bar = tqdm(desc="describe", unit=" images", disable=not progress, **counts)
    bad = {bytes(16)}  # The key of what has no content.
    with table.writing(), bar:
        for rows, (vectors, valid) in zip(requests, describe_each(batches), strict=True):
            if valid.any():
                table.append(view_keys(keys[rows[valid]]), vectors[valid])
            bad.update(keys[row].tobytes() for row in rows[~valid])
            bar.update(len(rows))
    valid = np.array([key.tobytes() not in bad for key in keys])
    if not valid.any():
        raise UserError(f"none of the {len(paths)} images can be decoded; the first: {paths[0]}")
    return CachedRows(table.rows(), np.where(valid, table.find(view_keys(keys)), -1)), valid, keys
