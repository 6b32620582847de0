"""Finds the images of an index that are most like each of the given images.

    darac query IMAGE [IMAGE ...] --out=results.html
    darac query IMAGE --index=FOLDER --box=40,60,300,420

--out gets a page for the browser, with the images that were found; docs/search.md says more.
--from=lancedb:DIR, or another database of `darac push`, searches there.
Where `darac web` runs for the index, its page is asked, which has the model loaded; not with
--model, --faiss_index, --from or --out.
"""

import json
import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.choices import PARTS_INDEX_FILE
from darac_tf.errors import UserError, printable
from darac_tf.index_flags import (
    define_faiss_index,
    index_values,
    kind_of_faiss_index,
    make_faiss_index,
    model_of,
)


def main(arguments):
    values = index_values()
    flags.DEFINE_string("model", None, "The index's model, where it has moved.", values)
    flags.DEFINE_integer("top_k", 20, "Images to find for each.", 1, None, values)
    flags.DEFINE_list("box", None, "xmin,ymin,xmax,ymax in pixels of a part to take.", values)
    flags.DEFINE_string("out", None, "HTML page to write.", values)
    flags.DEFINE_bool("json", False, "Print JSON.", values)
    flags.DEFINE_string("from", None, "Search in this database, and compare.", values)
    flags.DEFINE_string("collection", "darac", "Collection or table of --from.", values)
    define_faiss_index(values)
    images = cli.parse_command(arguments, values, __doc__, "image")
    box = _box(values.box, images)
    is_other = values.model or values.out or values["from"].value or values.faiss_index != "auto"
    if is_other or not _ask_page(values, images, box):
        cli.start_tensorflow()
        _query(values, images, box)


def _ask_page(values, images, box):
    """Prints what a page that runs finds; False where none does."""
    from darac_tf.web.client import running

    client, state = running(values.index)
    if client is None:
        return False
    try:
        results = [client.query(image, box, values.top_k) for image in images]
    except OSError:  # It has ended meanwhile, is busy, or takes no file as large.
        return False
    print(f"Asked the page that runs, among {state['images']} images", file=sys.stderr)
    _show(values, images, box, results)
    return True


def _query(values, images, box):
    import tensorflow as tf

    from darac_tf.search.page import write_results_page
    from darac_tf.search.query import Query

    queries = [Query(image, box) for image in images]
    # To optimise the graph takes longer than a few images do, and an export's is fused already.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    of_parts = (Path(values.index) / PARTS_INDEX_FILE).exists()
    model, results, how = (_find_in_parts if of_parts else _find)(values, queries)
    print(how, file=sys.stderr)
    _show(values, images, box, results)
    if values.out:
        turns = None if model.is_upright else 0
        write_results_page(values.out, queries, results, [f"{how}."], turns)


def _find(values, queries):
    """`(model, results, how)` of a search in an index of own images."""
    from darac_tf.search.index import Index, check_model
    from darac_tf.search.query import describe, find_like

    model = model_of(values)
    with Index(values.index) as index:
        check_model(values.index, index.settings, model)
        approximate = _faiss_index(values, index)
        vectors = describe(model, queries)
        results = find_like(index, vectors, values.top_k, approximate)
        count = index.files.count() - len(index.files.faults())
        how = f"Approximate search ({approximate.kind})" if approximate else "Exact search"
        if values["from"].value:
            results, how = _from_database(values, index, vectors, results)
    if index.table.damaged:
        damaged = f"{index.table.damaged} damaged vectors were found"
        print(f"{damaged}: `index --verify` describes them again", file=sys.stderr)
    return model, results, f"{how} among {count} images"


def _find_in_parts(values, queries):
    """`(model, results, how)` of a search in an index of parts, whose images have ids."""
    from darac_tf.parts.index import PartsIndex
    from darac_tf.parts.whitened import as_parts, check_model
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.query import describe, results_of
    from darac_tf.search.untrained import folder_of_model

    if values["from"].value or values.faiss_index not in ("auto", "none"):
        raise UserError(f"{values.index} is of parts: --from, and another --faiss_index, are not")
    index = PartsIndex(values.index, exact=values.faiss_index == "none")
    name = values.model or index.settings["model_folder"]
    if name is None:
        raise UserError(f"{values.index} does not know where its model is: name it, --model=...")
    model = ExportedModel(folder_of_model(name))
    check_model(index.parts, model)
    vectors = as_parts(index.parts, describe(model, queries))
    found = index.find(vectors, values.top_k)
    results = [results_of(scores, index.ids(rows)) for rows, scores in found]
    return model, results, f"{index.how} among {index.parts.rows} images"


def _from_database(values, index, vectors, exact):
    """What a database finds, and how, in words, with its recall of what the index finds."""
    from darac_tf.databases import connect
    from darac_tf.search.push import find_in_database, recall_of

    with connect(values["from"].value, values.collection) as database:
        found = find_in_database(index, database, vectors, values.top_k)
    share = f"{100 * recall_of(found, exact):.1f} % of the exact first {values.top_k}"
    return found, f"Search in {database.name}, which finds {share},"


def _show(values, images, box, results):
    pairs = list(zip(images, results, strict=True))
    if values.json:
        print(json.dumps([_as_json(image, box, found) for image, found in pairs], indent=1))
    else:
        print("\n\n".join(_as_text(*pair) for pair in pairs))


def _faiss_index(values, index):
    """What a query uses; made and kept where it was asked for and is not there."""
    from darac_tf.search.faiss_index import load_faiss_index
    from darac_tf.search.index import writing

    kind = kind_of_faiss_index(values, index)
    if kind is None or values["from"].value:  # The exact search says what a database misses.
        return None
    ready = load_faiss_index(index, kind)
    if ready is None and values.faiss_index == "auto":
        print("no faiss index is ready: `index` makes one; searches exactly", file=sys.stderr)
    elif ready is None:
        with writing(values.index) as writable:
            make_faiss_index(writable, kind)
        ready = load_faiss_index(index, kind)
    return ready


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


def _as_json(image, box, results):
    results = [vars(result) for result in results]
    return {"query": str(Path(image).absolute()), "box": box, "results": results}


def _as_text(image, results):
    lines = [f"{item.rank:4d}  {item.similarity:7.4f}  {printable(item.path)}" for item in results]
    return "\n".join([f"most like {printable(image)}:", "rank  similarity  path", *lines])
