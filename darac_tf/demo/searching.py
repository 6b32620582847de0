"""What both demos end with: an index made with an exported model, and a page of a search in it."""

from darac_tf.files import remove
from darac_tf.reports.web_page import Thumbnails
from darac_tf.search.exported_model import ExportedModel
from darac_tf.search.index import Index, writing
from darac_tf.search.page import query_article, write_results_page
from darac_tf.search.query import Query, find_similar
from darac_tf.search.updates import update

_RANKS = 12
_SHOWN_QUERIES, _SHOWN_RANKS = 3, 5


def index_and_search(export, folders, asked, index_folder, page):
    """Indexes folders anew with an exported model, and writes the page of a search.

    `asked` are paths of images to search with. Returns the index's `Changes`, and HTML of what was
    found for the first of them. `UserError` if one of `asked` can't be read, a folder holds no
    image, or something can't be written.
    """
    remove(index_folder)
    model, queries = ExportedModel(export), [Query(str(path)) for path in asked]
    with writing(index_folder, model) as index:
        changes = update(index, model, folders)
    with Index(index_folder) as index:
        results = find_similar(index, model, queries, _RANKS)
    how = f"Exact search among {changes.total - len(changes.faults)} images, with the export."
    turns = None if model.is_upright else 0
    write_results_page(page, queries, results, [how], turns)
    shown = [ranked[:_SHOWN_RANKS] for ranked in results[:_SHOWN_QUERIES]]
    thumbnails = Thumbnails([result.path for ranked in shown for result in ranked])
    pairs = zip(queries, shown, strict=False)
    return changes, [query_article(*pair, thumbnails, turns) for pair in pairs]
