"""Describes new and changed images below folders, and drops those that are gone.

    darac index PHOTOS [FOLDER ...]
    darac index PHOTOS [FOLDER ...] --model=EXPORT/1 --index=FOLDER

Only what is new or changed is described; a run may be ended at any moment. Without --model a new
index is made with a descriptor that needs no training; it is exported once, to ~/.cache/darac_tf.
"""

import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.choices import INDEX_FILE
from darac_tf.commands.index_flags import (
    define_faiss_index,
    index_values,
    kind_of_faiss_index,
    make_faiss_index,
    model_of,
)
from darac_tf.errors import listing


def main(arguments):
    values = index_values()
    text = "EXPORT/VERSION or BACKBONE+POOLING; default: that of the index."
    flags.DEFINE_string("model", None, text, values)
    flags.DEFINE_integer("batch_images", 32, "Most images described at once.", 1, None, values)
    flags.DEFINE_bool("verify", False, "Compare checksums; describe damaged images again.", values)
    define_faiss_index(values)
    folders = cli.parse_command(arguments, values, __doc__, "folder of images")
    cli.start_tensorflow()
    _index(values, folders)


def _index(values, folders):
    from darac_tf.data.exif import lying_portraits
    from darac_tf.search import faiss_index
    from darac_tf.search.index import writing
    from darac_tf.search.untrained import DEFAULT_MODEL
    from darac_tf.search.updates import check_folders, update

    if not (Path(values.index) / INDEX_FILE).exists():
        check_folders(folders)
    model = model_of(values, DEFAULT_MODEL)
    with writing(values.index, model, values.verify) as index:
        _warn([(path, "its vector was lost") for path in index.lost])
        changes = update(index, model, folders, values.batch_images)
        faiss_index.remove_stale(index)
        kind = kind_of_faiss_index(values, index)
        if kind is not None and faiss_index.load_faiss_index(index, kind) is None:
            make_faiss_index(index, kind)
    print(
        f"{changes.total} images: {changes.new} new, {changes.changed} changed, "
        f"{changes.removed} removed, {len(changes.faults)} unreadable"
    )
    if changes.described:
        rate = changes.described / changes.seconds
        print(f"{changes.described} described in {changes.seconds:.1f} s, {rate:.1f} images/s")
    if changes.lying:
        text = lying_portraits(len(changes.lying), changes.described, changes.lying[0])
        print(f"{text}index with a model of export --orientation=stored", file=sys.stderr)
    if changes.compacted:
        print(f"{changes.compacted} vectors that no file needs were removed")
    _warn(changes.faults)


def _warn(faults):
    if faults:
        print(listing([f"{path}: {fault}" for path, fault in faults]), file=sys.stderr)
