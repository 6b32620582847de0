"""The page of queries and of the images of an index that were found for them."""

from pathlib import Path

from darac_tf.reports import web_page

PAGE_RANKS = 200


def write_results_page(path, queries, results, summary_lines=(), turns=None):
    """Writes the HTML file of some `query.Query` and the list of `query.Result` of each.

    The first `PAGE_RANKS` are shown, below a title and the sentences of the summary. Images that
    can't be read any more are named, with a text instead of a thumbnail; `turns` are those of
    `thumbnails.thumbnail`. `UserError` if the file can't be written, `ValueError` if there are no
    queries.
    """
    if not queries:
        raise ValueError("A page of results needs at least one query. Received: none")
    shown = [ranked[:PAGE_RANKS] for ranked in results]
    thumbnails = web_page.Thumbnails([result.path for ranked in shown for result in ranked])
    lines = list(summary_lines)
    if any(len(ranked) > PAGE_RANKS for ranked in results):
        lines.append(f"The first {PAGE_RANKS} of each query are shown.")
    if thumbnails.root:
        lines.append(f"Images are in {thumbnails.root}; a click opens one.")
    names = ", ".join(Path(query.path).name for query in queries[:3])
    title = f"Most like {names}{' and others' if len(queries) > 3 else ''}"
    pairs = zip(queries, shown, strict=True)
    web_page.write_page(
        path, title, lines, (query_article(*pair, thumbnails, turns) for pair in pairs)
    )


def query_article(query, ranked, thumbnails, turns=None):
    """HTML of a `query.Query` and the `query.Result`s of it, with `web_page.Thumbnails`."""
    name = Path(query.path).name
    box = "" if query.box is None else f"box {', '.join(map(str, query.box))}"
    alt = f"Query {name}{box and ', '}{box}"
    image = thumbnails.element(query.path, alt, web_page.QUERY_SIDE, query.box, turns)
    figures = [_figure(result, thumbnails, turns) for result in ranked]
    return web_page.article(name, box or "the whole image", image, figures)


def _figure(result, thumbnails, turns):
    name, score = thumbnails.name(result.path), f"{result.similarity:.4f}"
    alt = f"Rank {result.rank}, similarity {score}: {name}"
    image = thumbnails.element(result.path, alt, web_page.RANK_SIDE, turns=turns)
    if Path(result.path).is_absolute():  # An id of a manifest need not be a path.
        image = f'<a href="{web_page.escaped(Path(result.path).as_uri())}">{image}</a>'
    return web_page.figure(image, alt, result.rank, score, name)
