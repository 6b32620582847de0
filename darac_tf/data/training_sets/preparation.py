"""Preparation of a training set: small images in few large files, with an index.

A set of a million image files is slow to read from most disks, and its images are larger than
training needs. `prepare` decodes every image once, so that training meets no bad one.

    out/plan.json                what is prepared, and how; a restart must agree
    out/shard-00000.tfrecord     examples, classes in order
    out/shard-00000.json         what the shard holds; written after it
    out/report.json              counts, and the images left out with the reasons
    out/index/                   where each record lies (`record_index`); written last of all
"""

import contextlib
import hashlib
import json
import os
import shutil
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
from tqdm import tqdm

from darac_tf.data.images import PIXELS_VERSION
from darac_tf.data.training_sets import record_index
from darac_tf.data.training_sets.record_index import RecordIndex
from darac_tf.data.training_sets.shards import (
    Stopped,
    absolute,
    make_encoder,
    read_shard,
    write_shard,
)
from darac_tf.errors import UserError
from darac_tf.files import atomic_path, only_writer
from darac_tf.threads import CORES

PLAN, REPORT, LOCK = "plan.json", "report.json", ".lock"
FORMAT_VERSION = 2


def prepare(images, out, size, workers=None, quality=95, images_per_shard=4096, progress=True):
    """Writes a collection as `PreparedImages.open` reads it.

    It may be stopped at any moment, by SIGKILL too: the same call goes on with the shards that
    are not finished, and gives the same files. Images that can't be decoded are left out. A shard
    that is finished is not looked at again: to take in images that were missing, or that have
    changed since, prepare into another folder.

    Args:
        images: `LabelledImages`; a file may be missing. Those that are `upright` are turned so.
        out: Folder to write; new, or that of an earlier call with the same arguments.
        size: Most pixels on the shorter side; smaller images keep their size.
        workers: Threads; None for one a CPU core. TensorFlow decodes and resizes without Python's
            lock, so that threads serve as well as processes, and die with the program.
        quality: Of the JPEGs, 1 to 100.
        images_per_shard: Images of a shard, which is what a kill costs each thread.
        progress: Whether to show a progress bar.

    Returns:
        Dictionary as in `report.json`: `images`, `kept`, `classes`, `classes_below_two` (names of
        classes that fewer than two images are left of) and `dropped`, a list of dictionaries of
        `path` and `reason`.

    Raises:
        UserError: If `out` holds another preparation or other files, is being prepared, or can't
            be written; or if no image can be decoded.
        ValueError: If a number is out of range.
    """
    workers = CORES if workers is None else workers
    if min(size, workers, images_per_shard) < 1 or not 1 <= quality <= 100:
        raise ValueError(
            "`size`, `workers` and `images_per_shard` must be at least 1, `quality` in [1, 100]. "
            f"Received: {size=}, {workers=}, {images_per_shard=}, {quality=}"
        )
    out = Path(out)
    with _alone(out):
        _agree(out, _plan(images, size, quality, images_per_shard))
        if (out / record_index.FOLDER).is_dir() and (out / REPORT).is_file():
            return json.loads((out / REPORT).read_text(encoding="utf-8"))
        order = np.argsort(images.labels, kind="stable")
        parts = [order[i : i + images_per_shard] for i in range(0, len(order), images_per_shard)]
        paths = [out / f"shard-{number:05d}.tfrecord" for number in range(len(parts))]
        encode = make_encoder(size, quality, images.upright)
        shards = _write_shards(images, paths, parts, encode, workers, progress)
        return _finish(images, out, [path.name for path in paths], shards)


def _write_shards(images, paths, parts, encode, workers, progress):
    """The `Shard` of each path, read where it is finished and written where it isn't."""
    shards, stopped = [read_shard(path) for path in paths], threading.Event()
    todo = [number for number, shard in enumerate(shards) if shard is None]
    done = len(paths) - len(todo)
    bar = tqdm(
        desc="preparing", total=len(paths), initial=done, unit=" shards", disable=not progress
    )

    def write(number):
        try:
            if stopped.is_set():
                raise Stopped
            shards[number] = write_shard(paths[number], images, parts[number], encode, stopped)
        except BaseException:
            stopped.set()
            raise
        bar.update()

    with bar, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(write, number) for number in todo]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # Of no effect when all are done; otherwise an error or Ctrl-C needs no shard's end.
            stopped.set()
            pool.shutdown(cancel_futures=True)
    for future in futures:
        if not future.cancelled() and not isinstance(future.exception(), Stopped):
            future.result()  # raises its error
    return shards


def _finish(images, out, names, shards):
    """Writes the report, which it returns, and the index."""
    columns = ("rows", "offsets", "lengths", "checksums")
    joined = {
        name: np.concatenate([np.int64(getattr(s, name)) for s in shards]) for name in columns
    }
    rows = joined.pop("rows")
    if not len(rows):
        raise UserError(f"{shards[0].dropped[0][1]}; and none of the other images can be read")
    split_names, splits = np.unique(images.splits, return_inverse=True)
    counts = np.bincount(images.labels[rows], minlength=len(images.class_names))
    report = {
        "images": len(images),
        "kept": len(rows),
        "classes": len(images.class_names),
        "classes_below_two": [images.class_names[label] for label in np.flatnonzero(counts < 2)],
        "dropped": [
            {"path": str(images.paths[row]), "reason": reason}
            for shard in shards
            for row, reason in shard.dropped
        ],
    }
    with atomic_path(out / REPORT) as path:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    RecordIndex(
        labels=images.labels[rows],
        splits=splits[rows],
        shards=np.repeat(np.arange(len(shards)), [len(shard.rows) for shard in shards]),
        **joined,
        sources=np.array([absolute(images.paths[row]) for row in rows]),
        name=images.name,
        class_names=list(images.class_names),
        split_names=[str(name) for name in split_names],
        shard_names=names,
    ).write(out)
    return report


def _plan(images, size, quality, images_per_shard):
    digest = hashlib.sha256()
    for path, label, split in zip(images.paths, images.labels, images.splits, strict=True):
        digest.update(os.fsencode(f"{path}\0{images.class_names[label]}\0{split}\n"))
    return {
        "format": FORMAT_VERSION,
        "pixels": PIXELS_VERSION,
        "orientation": "upright" if images.upright else "stored",
        "images": len(images),
        "list": digest.hexdigest(),
        "size": size,
        "quality": quality,
        "images_per_shard": images_per_shard,
    }


def _agree(out, plan):
    """Writes the plan, or compares it with the one that is there."""
    path = out / PLAN
    if not path.exists():
        strangers = [file.name for file in out.iterdir() if not file.name.startswith(".")]
        if strangers:
            raise UserError(f"{out} holds other files ({min(strangers)}): name another folder")
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    for name, value in plan.items():
        if stored.get(name) != value:
            raise UserError(
                f"{out} holds a preparation with {name}={stored.get(name)}, not {value}: give the "
                "same images and settings, or name another folder"
            )


@contextlib.contextmanager
def _alone(out):
    """Holds the folder for this process, and clears away what a killed one left half-written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / LOCK).touch()
    except OSError as error:
        raise UserError(f"can't write to {out}: {error.strerror}; name another folder") from error
    with only_writer(out / LOCK):
        # The names that `atomic_path` gives to files that aren't finished.
        for left in out.glob(".????????.*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
