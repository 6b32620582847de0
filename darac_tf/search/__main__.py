"""Indexes a user's own images with an exported model, and searches in them.

    python -m darac_tf.search index PHOTOS [FOLDER ...] --model=EXPORT/1 --index=FOLDER
    python -m darac_tf.search query IMAGE [IMAGE ...] --index=FOLDER --out=results.html
    python -m darac_tf.search duplicates --index=FOLDER --threshold=0.95
    python -m darac_tf.search forget FOLDER [FOLDER ...] --index=FOLDER

`COMMAND --help` explains the flags of a command.
"""

import json
import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError, printable
from darac_tf.search import faiss_index
from darac_tf.search.duplicates import near_duplicates
from darac_tf.search.exported_model import ExportedModel
from darac_tf.search.index import SETTINGS, Index, check_model, read_settings, writing
from darac_tf.search.page import write_results_page
from darac_tf.search.query import Query, find_similar
from darac_tf.search.updates import forget, update

_SHOWN_FAULTS = 20


def main(arguments):
    """Runs one command with the arguments of its command line; returns the exit status."""
    try:
        _run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(arguments):
    name = arguments[0] if arguments else None
    if name in ("--help", "-h", "help"):
        print(__doc__.strip())
        return
    if name not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        given = "no command" if name is None else f"unknown command {name!r}"
        raise UserError(f"{given}: choose from {known} (see --help)")
    define, run, wanted = _COMMANDS[name]
    values = flags.FlagValues()
    # Flags may stand before, between and after the folders or images.
    values.set_gnu_getopt(True)
    flags.DEFINE_string("index", None, "Folder of the index.", values, required=True)
    define(values)
    if {"--help", "-h"} & set(arguments):
        print(f"{run.__doc__.splitlines()[0]}\n{values.get_help()}")
        return
    try:
        _, *positional = cli.parse(arguments, values)
    except flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())} (see {name} --help)") from error
    if wanted and not positional:
        raise UserError(f"{name}: name at least one {wanted}")
    run(values, positional)


def _index_flags(values):
    flags.DEFINE_string("model", None, "EXPORT/VERSION; default: that of the index.", values)
    flags.DEFINE_integer("batch_images", 32, "Most images described at once.", 1, None, values)
    flags.DEFINE_bool("verify", False, "Compare checksums; describe damaged images again.", values)
    _faiss_flag(values)


def _index(values, folders):
    """Describes new and changed images below the folders, and drops those that are gone."""
    if not values.model and not (Path(values.index) / SETTINGS).exists():
        raise UserError("--model: name an exported model for the new index, EXPORT/VERSION")
    model = _model(values)
    with writing(values.index, model, values.verify) as index:
        _warn([(path, "its vector was lost") for path in index.lost])
        changes = update(index, model, folders, values.batch_images)
        faiss_index.remove_stale(index)
        kind = _faiss_kind(values, index)
        if kind is not None and faiss_index.load_faiss_index(index, kind) is None:
            _make_faiss_index(index, kind)
    print(
        f"{changes.total} images: {changes.new} new, {changes.changed} changed, "
        f"{changes.removed} removed, {len(changes.faults)} unreadable"
    )
    if changes.described:
        rate = changes.described / changes.seconds
        print(f"{changes.described} described in {changes.seconds:.1f} s, {rate:.1f} images/s")
    if changes.compacted:
        print(f"{changes.compacted} vectors that no file needs were removed")
    _warn(changes.faults)


def _warn(faults):
    for path, fault in faults[:_SHOWN_FAULTS]:
        print(f"{printable(path)}: {printable(fault)}", file=sys.stderr)
    if len(faults) > _SHOWN_FAULTS:
        print(f"... and {len(faults) - _SHOWN_FAULTS} more", file=sys.stderr)


def _query_flags(values):
    flags.DEFINE_string("model", None, "The index's model, where it has moved.", values)
    flags.DEFINE_integer("top_k", 20, "Images to find for each.", 1, None, values)
    flags.DEFINE_list("box", None, "xmin,ymin,xmax,ymax in pixels of a part to take.", values)
    flags.DEFINE_string("out", None, "HTML page to write.", values)
    flags.DEFINE_bool("json", False, "Print JSON.", values)
    _faiss_flag(values)


def _query(values, images):
    """Finds the images of an index that are most like each of the given images."""
    queries = [Query(image, _box(values.box, images)) for image in images]
    model = _model(values)
    with Index(values.index) as index:
        check_model(values.index, index.settings, model)
        approximate = _faiss_index(values, index)
        results = find_similar(index, model, queries, values.top_k, approximate)
        count = index.files.count() - len(index.files.faults())
    how = f"Approximate search ({approximate.kind})" if approximate else "Exact search"
    print(f"{how} among {count} images", file=sys.stderr)
    if index.table.damaged:
        damaged = f"{index.table.damaged} damaged vectors were found"
        print(f"{damaged}: `index --verify` describes them again", file=sys.stderr)
    pairs = list(zip(queries, results, strict=True))
    if values.json:
        print(json.dumps([_as_json(*pair) for pair in pairs], indent=1))
    else:
        print("\n\n".join(_as_text(*pair) for pair in pairs))
    if values.out:
        turns = None if model.is_upright else 0
        write_results_page(values.out, queries, results, [f"{how} among {count} images."], turns)


def _duplicates_flags(values):
    flags.DEFINE_float("threshold", 0.95, "Least cosine similarity.", 0.01, 1.0, values)


def _duplicates(values, rest):
    """Prints pairs of images in an index that are nearly the same."""
    if rest:
        raise UserError(f"duplicates: unexpected argument {rest[0]!r}")
    with Index(values.index) as index:
        for similarity, *paths in near_duplicates(index, values.threshold):
            print("\t".join([f"{similarity:.4f}", *map(printable, paths)]))


def _forget(values, folders):
    """Drops all files below folders from an index; the files themselves stay."""
    with writing(values.index) as index:
        count = forget(index, folders)
        faiss_index.remove_stale(index)
    print(f"{count} images dropped from the index")


# The flags of each, what runs it, and what it needs besides.
_COMMANDS = {
    "index": (_index_flags, _index, "folder of images"),
    "query": (_query_flags, _query, "image"),
    "duplicates": (_duplicates_flags, _duplicates, None),
    "forget": (lambda values: None, _forget, "folder"),
}


def _model(values):
    return ExportedModel(values.model or read_settings(values.index)["model_folder"])


def _faiss_flag(values):
    automatic = f"{faiss_index.AUTOMATIC_KIND} for more than {faiss_index.AUTOMATIC_IMAGES} images"
    text = f"a kind such as HNSW32; none; auto: {automatic} where faiss is installed."
    flags.DEFINE_string("faiss_index", "auto", f"Approximate search: {text}", values)


def _faiss_kind(values, index):
    if values.faiss_index == "auto":
        return faiss_index.automatic_kind(len(index.live()[1]))
    return None if values.faiss_index == "none" else values.faiss_index


def _faiss_index(values, index):
    """What a query uses; made and kept where it was asked for and is not there."""
    kind = _faiss_kind(values, index)
    if kind is None:
        return None
    ready = faiss_index.load_faiss_index(index, kind)
    if ready is None and values.faiss_index == "auto":
        print("no faiss index is ready: `index` makes one; searches exactly", file=sys.stderr)
    elif ready is None:
        with writing(values.index) as writable:
            _make_faiss_index(writable, kind)
        ready = faiss_index.load_faiss_index(index, kind)
    return ready


def _make_faiss_index(index, kind):
    print(f"makes a faiss index {kind}", file=sys.stderr)
    faiss_index.make_faiss_index(index, kind)


def _box(numbers, images):
    if numbers is None:
        return None
    if len(images) > 1:
        raise UserError("--box: name one image only, the box is in its pixels")
    try:
        xmin, ymin, xmax, ymax = map(int, numbers)
    except ValueError as error:
        advice = "give four whole numbers, xmin,ymin,xmax,ymax"
        raise UserError(f"--box={','.join(numbers)}: {advice}") from error
    return xmin, ymin, xmax, ymax


def _as_json(query, results):
    results = [vars(result) for result in results]
    return {"query": str(Path(query.path).absolute()), "box": query.box, "results": results}


def _as_text(query, results):
    lines = [f"{item.rank:4d}  {item.similarity:7.4f}  {printable(item.path)}" for item in results]
    return "\n".join([f"most like {printable(query.path)}:", "rank  similarity  path", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
