"""From image files to a feature file through a server, safe against interruption."""

import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from darac_tf.data import read_csv
from darac_tf.data.content_keys import keys_of_images, view_keys
from darac_tf.data.images import IMAGE_SUFFIXES, images_below
from darac_tf.describing.feature_file import FeatureFile
from darac_tf.describing.feature_table import FeatureTable
from darac_tf.errors import UserError
from darac_tf.serving.batches import split_images


def find_images(where):
    """Paths of images.

    Args:
        where: A folder, searched to any depth, or a CSV file with `path,label[,split]`.

    Returns:
        Non-empty sorted list of strings; for a CSV file in its order.

    Raises:
        UserError: If there is no such folder or file, or no image.
    """
    where = Path(where)
    if where.suffix.lower() == ".csv":
        return list(dict.fromkeys(map(str, read_csv(where).paths)))
    if not where.is_dir():
        raise UserError(f"--images={where}: give a folder with images, or a CSV file")
    found = images_below(where)
    if not found:
        raise UserError(f"--images={where}: no image ({', '.join(IMAGE_SUFFIXES)}) below it")
    return found


def describe_files(client, paths, out, made_from, limits, progress=True):
    """Describes images by a server, and writes a feature file.

    Vectors are kept in a folder beside `out` as they come, and the folder goes when the file is
    complete: an interrupted call goes on where it stopped. Images of the same content are sent
    once, and an image that can't be decoded once a call.

    Args:
        client: `Client` with the signature `"robust"` and a version of its own.
        paths: List of image files.
        out: The `.npz` file to write; one that is there is replaced.
        made_from: Dictionary of strings and integers that tell the vectors from others: model,
            version, signature. What was kept for others is refused.
        limits: `(images, bytes)` of a request at most.
        progress: Whether to show a progress bar.

    Returns:
        `FeatureFile`.

    Raises:
        UserError: If an image can't be read, no image can be decoded, or the server fails for good
            (`ServerError`).
    """
    keys = keys_of_images(paths)
    kept = Path(f"{out}.partial")
    table = FeatureTable(kept, made_from)
    table.check(table.find(view_keys(keys)))
    todo = _first_missing(table, keys)
    bad = set()
    with table.writing(), _bar(len(keys), len(keys) - len(todo), progress) as bar:
        for rows, described in _described(client, paths, keys, todo, limits):
            good = described.valid
            if good.any():
                table.append(view_keys(keys[rows[good]]), described.vectors[good])
            bad.update(keys[row].tobytes() for row in rows[~good])
            bar.update(len(rows))
    valid = np.array([key.tobytes() not in bad for key in keys])
    if not valid.any():
        raise UserError(f"none of the {len(paths)} images can be decoded; the first: {paths[0]}")
    file = _feature_file(table, paths, keys, valid, made_from)
    file.save(out)
    shutil.rmtree(kept)
    return file


def _feature_file(table, paths, keys, valid, made_from):
    vectors = np.zeros((len(paths), table.dim), np.float32)
    vectors[valid] = table.rows()[table.find(view_keys(keys[valid]))]
    made_by = f"the model {made_from['model']}, version {made_from['version']}, through a server"
    return FeatureFile(np.array(paths), vectors, valid, keys, {"made_by": made_by, **made_from})


def _first_missing(table, keys):
    """Places of images that the table lacks, one for each content."""
    missing = np.flatnonzero(table.find(view_keys(keys)) < 0)
    _, first = np.unique(keys[missing], axis=0, return_index=True)
    return missing[np.sort(first)]


def _described(client, paths, keys, todo, limits):
    """Yields `(places, Described)` of each request."""
    sizes = keys[todo, 0].astype(np.int64).tolist()
    parts = [todo[start:stop] for start, stop in split_images(sizes, *limits)]
    batches = ([_read(paths[row]) for row in rows] for rows in parts)
    yield from zip(parts, client.describe_each(batches), strict=True)


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"can't read the image {path}: {error.strerror}; check it") from error


def _bar(total, initial, progress):
    return tqdm(total=total, initial=initial, desc="describe", unit=" images", disable=not progress)
