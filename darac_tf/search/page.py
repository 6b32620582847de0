"""One HTML page of queries and the images found for them, which opens from disk.

All of it is in the file: thumbnails as `data:` URIs and a style sheet; there is no script. A
content security policy allows these and nothing else. File names are untrusted and escaped.
"""

import os
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.reports.html_assets import STYLE
from darac_tf.reports.html_parts import absent_picture, escaped, listed, page_start, picture
from darac_tf.reports.thumbnails import jpeg_uri, thumbnail

PAGE_RANKS = 200
_QUERY_SIDE, _RANK_SIDE = 280, 168
_OWN_STYLE = """
figure { --mark: var(--line); border-width: 1px; }
figure a { display: block; color: inherit; }
figure a:focus-visible { outline: 3px solid var(--right); outline-offset: -3px; }
.asked p { margin: .15rem 0 .4rem; color: var(--soft); font-size: .8rem; }
"""


def write_page(path, queries, found, summary_lines=()):
    """Writes the page.

    Images that can't be read any more are named, with a text instead of a thumbnail.

    Args:
        path: HTML file to write.
        queries: Non-empty list of `query.Query`.
        found: For each, its list of `query.Found`; the first `PAGE_RANKS` are shown.
        summary_lines: Sentences below the title.

    Raises:
        UserError: If the file can't be written.
        ValueError: If there are no queries.
    """
    if not queries:
        raise ValueError("A page of results needs at least one query. Received: none")
    shown = [ranked[:PAGE_RANKS] for ranked in found]
    root = _common_folder([item.path for ranked in shown for item in ranked])
    lines = [*summary_lines, *_facts(found, root)]
    names = ", ".join(Path(query.path).name for query in queries[:3])
    title = f"Most like {names}{' and others' if len(queries) > 3 else ''}"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(page_start(title, STYLE + _OWN_STYLE, listed(lines)))
        file.writelines(
            _article(query, ranked, root) for query, ranked in zip(queries, shown, strict=True)
        )
        file.write("</main>\n</body>\n</html>\n")


def _article(query, ranked, root):
    name = Path(query.path).name
    box = "" if query.box is None else f"box {', '.join(map(str, query.box))}"
    alt = f"Query {name}{box and ', '}{box}"
    image = _image(query.path, alt, _QUERY_SIDE, query.box)
    items = "\n".join(_ranked(item, root) for item in ranked)
    return (
        f'<article>\n<div class="asked"><h2><bdi>{escaped(name)}</bdi></h2>'
        f"<p>{escaped(box or 'the whole image')}</p>{image}</div>\n"
        f"<ol>\n{items}\n</ol>\n</article>\n"
    )


def _ranked(item, root):
    name = os.path.relpath(item.path, root) if root else item.path
    alt = f"Rank {item.rank}, similarity {item.similarity:.4f}: {name}"
    image = _image(item.path, alt, _RANK_SIDE)
    link = escaped(Path(item.path).as_uri())
    return (
        f'<li><figure title="{escaped(alt)}"><a href="{link}">{image}</a>'
        f'<figcaption><span>{item.rank}</span><span class="score">{item.similarity:.4f}</span>'
        f'<bdi class="name">{escaped(name)}</bdi></figcaption></figure></li>'
    )


def _image(path, alt, long_side, box=None):
    try:
        small = thumbnail(path, long_side, box)
    except UserError:
        return absent_picture(alt)
    return picture(jpeg_uri(small), small.shape, alt)


def _common_folder(paths):
    """The folder that holds all images, or None for no images."""
    return os.path.commonpath([Path(path).parent for path in paths]) if paths else None


def _facts(found, root):
    """Sentences on what the page shows."""
    if any(len(ranked) > PAGE_RANKS for ranked in found):
        yield f"The first {PAGE_RANKS} of each query are shown."
    if root:
        yield f"Images are in {root}; a click opens one."
