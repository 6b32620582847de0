"""Describes new and changed images below folders, and drops those that are gone.

    darac index PHOTOS [FOLDER ...]
    darac index PHOTOS [FOLDER ...] --model=EXPORT/1 --index=FOLDER
    darac index --parts=PARTS --index=FOLDER --memory=8GiB

Only what is new or changed is described; a run may be ended at any moment. Without --model a new
index is made with a descriptor that needs no training; it is exported once, to ~/.cache/darac_tf.
With --parts, what `darac describe --manifest` has described is indexed, and stays where it is;
docs/scale.md says more.
"""

import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.choices import INDEX_FILE, KEPT_IN, PARTS_CANDIDATES, PROBES
from darac_tf.errors import UserError, listing
from darac_tf.index_flags import (
    define_faiss_index,
    index_values,
    kind_of_faiss_index,
    make_faiss_index,
    model_of,
)


def main(arguments):
    values = index_values()
    text = "EXPORT/VERSION, hf://USER/NAME or BACKBONE+POOLING; default: that of the index."
    flags.DEFINE_string("model", None, text, values)
    flags.DEFINE_integer("batch_images", 32, "Most images described at once.", 1, None, values)
    flags.DEFINE_bool("verify", False, "Compare checksums; describe damaged images again.", values)
    text = "What a new index keeps vectors in; default: float32."
    flags.DEFINE_enum("vectors", None, KEPT_IN, text, values)
    define_faiss_index(values)
    text = "Most memory to take for a faiss index, such as 8GiB; default: what is free."
    flags.DEFINE_string("memory", None, text, values)
    flags.DEFINE_string("parts", None, "Folder of parts to index.", values)
    text = "--parts: indexes that are searched side by side."
    flags.DEFINE_integer("shards", 1, text, 1, None, values)
    flags.DEFINE_integer("probes", PROBES, "--parts: lists to look through.", 1, None, values)
    text = "--parts: vectors to score exactly."
    flags.DEFINE_integer("candidates", PARTS_CANDIDATES, text, 1, None, values)
    text = "--parts: queries to measure the recall with; 0: none."
    flags.DEFINE_integer("recall_queries", 100, text, 0, 1000, values)
    of_parts = any(word.lstrip("-").split("=")[0] == "parts" for word in arguments)
    wanted = None if of_parts else "folder of images"
    folders = cli.parse_command(arguments, values, __doc__, wanted)
    if values.parts:
        if values.vectors:
            raise UserError("--vectors is for photographs: --parts keeps vectors where they are")
        _index_parts(values)
        return
    for name in ("shards", "probes", "candidates", "recall_queries"):
        if not values[name].using_default_value:
            raise UserError(f"--{name} is for --parts")
    cli.start_tensorflow()
    _index(values, folders)


def _index_parts(values):
    from darac_tf.memory import parse_bytes, readable_bytes
    from darac_tf.parts.index import recall_text
    from darac_tf.parts.indexing import Request, build_parts_index, measure_recall
    from darac_tf.parts.part_files import Parts

    parts = Parts.open(values.parts)
    model_folder = parts.layout.facts.get("model_folder")
    if values.model:
        model_folder = _folder_of(values.model, parts)
    kind = None if values.faiss_index == "none" else values.faiss_index
    memory = values.memory and parse_bytes(values.memory)
    request = Request(memory, kind, values.shards, values.probes, values.candidates)
    plan = build_parts_index(parts, values.index, request, model_folder)
    how = "exact search, without an index" if plan is None else plan.kind
    print(f"{values.index}: {parts.rows} x {parts.dim}, {how}")
    if plan is not None:
        size = readable_bytes(plan.index_bytes * values.shards)
        print(f"{size} of index; building takes {readable_bytes(plan.peak_bytes)} at most")
    if plan is not None and values.recall_queries:
        print(recall_text(measure_recall(values.index, values.recall_queries)))


def _folder_of(name, parts):
    """Where the model of parts is; `UserError` if it is another one."""
    from darac_tf.parts.whitened import check_model

    cli.start_tensorflow()
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.untrained import folder_of_model

    model = ExportedModel(folder_of_model(name))
    check_model(parts, model)
    return str(model.folder)


def _index(values, folders):
    from darac_tf.data.exif import lying_portraits
    from darac_tf.memory import free_bytes, parse_bytes
    from darac_tf.search import faiss_index
    from darac_tf.search.index import writing
    from darac_tf.search.untrained import DEFAULT_MODEL
    from darac_tf.search.updates import check_folders, update

    memory = values.memory and parse_bytes(values.memory)
    if not (Path(values.index) / INDEX_FILE).exists():
        check_folders(folders)
    model = model_of(values, DEFAULT_MODEL)
    with writing(values.index, model, values.verify, values.vectors) as index:
        _warn([(path, "its vector was lost") for path in index.lost])
        changes = update(index, model, folders, values.batch_images)
        faiss_index.remove_stale(index)
        kind = kind_of_faiss_index(values, index)
        if kind is not None and faiss_index.load_faiss_index(index, kind) is None:
            make_faiss_index(index, kind, free_bytes(memory))
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
