"""The commands of `python -m darac_tf.search`: flags to arguments, and results to text."""

import json
import sys
from pathlib import Path

from absl import flags

from darac_tf.errors import UserError
from darac_tf.reports.markdown import printable
from darac_tf.search import approximation
from darac_tf.search.describer import ExportedDescriber
from darac_tf.search.duplicates import near_duplicates
from darac_tf.search.index_folder import IndexFolder, writing
from darac_tf.search.page import write_results_page
from darac_tf.search.query import Query, find_similar
from darac_tf.search.settings import SETTINGS, check_model, read_settings
from darac_tf.search.updating import forget, update

_SHOWN_FAULTS = 20


def _index_flag(values):
    flags.DEFINE_string("index", None, "Folder of the index.", values, required=True)


def _index_flags(values):
    _index_flag(values)
    flags.DEFINE_string(
        "model", None, "Exported model, EXPORT/VERSION; default: that of the index.", values
    )
    flags.DEFINE_integer(
        "batch_images", 32, "Most images described at once.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_bool(
        "verify", False, "Compare all checksums, and describe damaged images again.", values
    )
    _faiss_flag(values)


def _index(values, folders):
    """Describes new and changed images below the folders, and drops those that are gone."""
    if not folders:
        raise UserError("index: name at least one folder of images")
    describer = ExportedDescriber(_model(values))
    with writing(values.index, describer, values.verify) as index:
        changes = update(index, describer, folders, values.batch_images)
        approximation.remove_stale(index)
        kind = _kind(values, index)
        is_made = kind is not None and approximation.load_approximation(index, kind) is None
        if is_made:
            print(f"makes a faiss index {kind}", file=sys.stderr)
            approximation.make_approximation(index, kind)
    print(
        f"{changes.total} images: {changes.new} new, {changes.changed} changed, "
        f"{changes.removed} removed, {len(changes.faults)} unreadable"
    )
    if changes.described:
        rate = changes.described / changes.seconds
        print(f"{changes.described} described in {changes.seconds:.1f} s, {rate:.1f} images/s")
    if changes.compacted:
        print(f"{changes.compacted} vectors that no file needs were removed")
    for path, fault in changes.faults[:_SHOWN_FAULTS]:
        print(f"{printable(path)}: {printable(fault)}", file=sys.stderr)
    if len(changes.faults) > _SHOWN_FAULTS:
        print(f"... and {len(changes.faults) - _SHOWN_FAULTS} more", file=sys.stderr)


def _query_flags(values):
    _index_flag(values)
    flags.DEFINE_string("model", None, "The index's model, where it has moved.", values)
    flags.DEFINE_integer("top_k", 20, "Images to find for each.", lower_bound=1, flag_values=values)
    flags.DEFINE_list(
        "box", None, "xmin,ymin,xmax,ymax in pixels: search with this part.", flag_values=values
    )
    flags.DEFINE_string("out", None, "HTML page to write.", values)
    flags.DEFINE_bool("json", False, "Print JSON.", flag_values=values)
    _faiss_flag(values)


def _query(values, images):
    """Finds the images of an index that are most like each of the given images."""
    if not images:
        raise UserError("query: name at least one image")
    queries = [Query(image, _box(values.box, images)) for image in images]
    settings = read_settings(values.index)
    describer = ExportedDescriber(_model(values))
    check_model(values.index, settings, describer)
    with IndexFolder(values.index) as index:
        approximate = _approximation(values, index)
        found = find_similar(index, describer, queries, values.top_k, approximate)
        count = index.files.count() - len(index.files.faults())
    how = f"Approximate search ({approximate.kind})" if approximate else "Exact search"
    print(f"{how} among {count} images", file=sys.stderr)
    if values.json:
        print(json.dumps([_as_json(*pair) for pair in zip(queries, found, strict=True)], indent=1))
    else:
        print("\n\n".join(_as_text(*pair) for pair in zip(queries, found, strict=True)))
    if values.out:
        write_results_page(values.out, queries, found, [f"{how} among {count} images."])


def _duplicates_flags(values):
    _index_flag(values)
    flags.DEFINE_float(
        "threshold",
        0.95,
        "Least cosine similarity.",
        lower_bound=0.01,
        upper_bound=1.0,
        flag_values=values,
    )


def _duplicates(values, rest):
    """Prints pairs of images in an index that are nearly the same."""
    if rest:
        raise UserError(f"duplicates: unexpected argument {rest[0]!r}")
    with IndexFolder(values.index) as index:
        for similarity, *paths in near_duplicates(index, values.threshold):
            print("\t".join([f"{similarity:.4f}", *map(printable, paths)]))


def _forget(values, folders):
    """Drops all files below folders from an index; the files themselves stay."""
    if not folders:
        raise UserError("forget: name at least one folder")
    with writing(values.index) as index:
        count = forget(index, folders)
        approximation.remove_stale(index)
    print(f"{count} images dropped from the index")


def _model(values):
    if values.model:
        return values.model
    if not (Path(values.index) / SETTINGS).exists():
        raise UserError("--model: name an exported model for the new index, EXPORT/VERSION")
    return read_settings(values.index)["model_folder"]


COMMANDS = {
    "index": (_index_flags, _index),
    "query": (_query_flags, _query),
    "duplicates": (_duplicates_flags, _duplicates),
    "forget": (_index_flag, _forget),
}


def _faiss_flag(values):
    flags.DEFINE_string(
        "faiss_index",
        "auto",
        f"Approximate search: a kind such as HNSW32; none; auto: {approximation.AUTOMATIC_KIND} "
        f"for more than {approximation.AUTOMATIC_IMAGES} images where faiss is installed.",
        values,
    )


def _kind(values, index):
    if values.faiss_index == "none":
        return None
    if values.faiss_index != "auto":
        return values.faiss_index
    return approximation.automatic_kind(len(index.live()[1]))


def _approximation(values, index):
    """What a query uses; made and kept where it was asked for and is not there."""
    kind = _kind(values, index)
    if kind is None:
        return None
    ready = approximation.load_approximation(index, kind)
    if ready is None and values.faiss_index == "auto":
        print("no faiss index is ready: `index` makes one; searches exactly", file=sys.stderr)
    elif ready is None:
        print(f"makes a faiss index {kind}", file=sys.stderr)
        with writing(values.index) as writable:
            approximation.make_approximation(writable, kind)
        ready = approximation.load_approximation(index, kind)
    return ready


def _box(numbers, images):
    if numbers is None:
        return None
    if len(images) > 1:
        raise UserError("--box: name one image only, the box is in its pixels")
    try:
        xmin, ymin, xmax, ymax = map(int, numbers)
    except ValueError as error:
        raise UserError(
            f"--box={','.join(numbers)}: give four whole numbers, xmin,ymin,xmax,ymax"
        ) from error
    return xmin, ymin, xmax, ymax


def _as_json(query, found):
    results = [vars(item) for item in found]
    return {"query": str(Path(query.path).absolute()), "box": query.box, "results": results}


def _as_text(query, found):
    lines = [f"{item.rank:4d}  {item.similarity:7.4f}  {printable(item.path)}" for item in found]
    return "\n".join([f"most like {printable(query.path)}:", "rank  similarity  path", *lines])
