"""One HTML page of queries and what was found for them, which opens from disk.

Everything is in the file: thumbnails as `data:` URIs, style and script inline. A content security
policy allows these and nothing else. File names are untrusted and escaped.
"""

import os
from pathlib import Path

from darac_tf.files import atomic_path
from darac_tf.reports.html_assets import SCRIPT, STYLE
from darac_tf.reports.html_parts import absent_picture, escaped, listed, page_start, picture
from darac_tf.reports.markdown import is_missing
from darac_tf.reports.query_rows import pick_queries
from darac_tf.reports.thumbnails import jpeg_uri, thumbnail

_QUERY_SIDE, _RANK_SIDE = 280, 168
# Class of the frame, sign, and word for those who see neither.
_VERDICTS = {True: ("right", "✓"), False: ("wrong", "✗"), None: ("junk", "-")}
_ORDERS = {
    "given": "order of the data set",
    "ap": "AP, lowest first",
    "-ap": "AP, highest first",
    "name": "name",
}


def write_html(path, title, summary_lines, rows, max_queries=100, max_ranks=20, unreadable=()):
    """Writes the page of one row of the table.

    With more queries than `max_queries`, queries spread evenly from the lowest AP to the highest
    are shown, in the order of the data set. The page says what it shows and what size that has:
    with the default limits 15 MB or less.

    Args:
        path: HTML file to write.
        title: One line: the descriptor and what it was measured on.
        summary_lines: Sentences below it: scores, protocol, notes.
        rows: Non-empty list of `QueryRow`, in the order of the data set.
        max_queries: Most queries to show, at least 1.
        max_ranks: Most ranks of each to show, at least 1.
        unreadable: Paths of the images that the evaluation left out because they can't be read: a
            text stands for them. Any other image that can't be read is an error.

    Raises:
        UserError: If an image can't be read or the file can't be written.
        ValueError: If there are no rows, or a limit is below 1.
    """
    if not rows:
        raise ValueError("A page of rankings needs at least one row. Received: none")
    if min(max_queries, max_ranks) < 1:
        raise ValueError(f"Limits must be at least 1. Received: {max_queries}, {max_ranks}")
    chosen = [rows[query] for query in _chosen(rows, max_queries)]
    root = _common_folder(chosen, max_ranks)
    pictures = _Pictures({os.fspath(image) for image in unreadable}, root)
    articles = [_article(row, max_ranks, pictures) for row in chosen]
    facts = _facts(rows, chosen, max_ranks, pictures, root)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(_head(title, [*summary_lines, *facts]))
        file.writelines(articles)
        file.write(f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")


class _Pictures:
    """Makes `<img>` elements; each file is read once for each way it is shown."""

    def __init__(self, unreadable, root):
        self._unreadable = unreadable
        self._root = root
        self._made = {}
        self.count = 0
        self.n_bytes = 0

    def name(self, path):
        """The name that is shown: the path below the folder that all images share."""
        return os.path.relpath(path, self._root) if self._root else os.fspath(path)

    def element(self, path, alt, long_side, box=None, turns=0):
        path = os.fspath(path)
        if path in self._unreadable:
            return absent_picture(alt)
        key = (path, long_side, None if box is None else tuple(map(float, box)), turns)
        if key not in self._made:
            image = thumbnail(path, long_side, box, turns)
            self._made[key] = jpeg_uri(image), image.shape
        uri, shape = self._made[key]
        self.count += 1
        self.n_bytes += len(uri)
        return picture(uri, shape, alt)


def _article(row, max_ranks, pictures):
    name = pictures.name(row.query_path)
    box = "" if row.box is None else f", box {', '.join(f'{edge:g}' for edge in row.box)}"
    image = pictures.element(row.query_path, f"Query {name}{box}", _QUERY_SIDE, row.box, row.turns)
    missing = is_missing(row.ap)
    ap = "AP - (no positive)" if missing else f"AP {100 * row.ap:.2f} %"
    found = "\n".join(
        _ranked(rank, ranked, pictures) for rank, ranked in enumerate(row.ranks[:max_ranks], 1)
    )
    return (
        f'<article data-ap="{"" if missing else repr(float(row.ap))}">\n'
        f'<div class="asked"><h2><bdi>{escaped(name)}</bdi></h2>'
        f'<p class="ap">{ap}</p>{image}</div>\n'
        f"<ol>\n{found}\n</ol>\n</article>\n"
    )


def _ranked(rank, ranked, pictures):
    name = pictures.name(ranked.path)
    word, sign = _VERDICTS[None if ranked.verdict is None else bool(ranked.verdict)]
    alt = f"Rank {rank}, {word}, score {ranked.score:.3f}: {name}"
    image = pictures.element(ranked.path, alt, _RANK_SIDE, turns=ranked.turns)
    return (
        f'<li><figure class="{word}" title="{escaped(alt)}">{image}<figcaption>'
        f'<span class="sign">{sign}</span><span>{rank}</span>'
        f'<span class="score">{ranked.score:.3f}</span>'
        f'<bdi class="name">{escaped(Path(name).name)}</bdi></figcaption></figure></li>'
    )


def _chosen(rows, max_queries):
    if len(rows) <= max_queries:
        return range(len(rows))
    picked = pick_queries([row.ap for row in rows], max_queries)
    # Where few queries have an AP, the first of the others fill up.
    others = [query for query in range(len(rows)) if query not in set(picked)]
    return sorted(picked + others[: max_queries - len(picked)])


def _common_folder(rows, max_ranks):
    """The folder that holds all images, or None where they share none."""
    paths = {row.query_path for row in rows}
    paths |= {ranked.path for row in rows for ranked in row.ranks[:max_ranks]}
    try:
        return os.path.commonpath({Path(path).parent for path in paths}) or None
    except ValueError:  # absolute and relative paths, or several drives
        return None


def _facts(rows, chosen, max_ranks, pictures, root):
    """Sentences on what the page shows."""
    which = ", spread evenly from the lowest AP to the highest" if len(chosen) < len(rows) else ""
    cut = max(len(row.ranks) for row in chosen) > max_ranks
    yield f"Shown: {len(chosen)} of {len(rows)} queries{which}" + (
        f", the first {max_ranks} ranks of each." if cut else "."
    )
    yield f"{pictures.count} thumbnails, {pictures.n_bytes / 1e6:.1f} MB."
    if root:
        yield f"Images are in {root}."
    if any(row.box is not None for row in chosen):
        yield "The yellow box is what was searched for; what is outside was cut off."


def _head(title, lines):
    marks = ", ".join(f"{sign} {word}" for word, sign in _VERDICTS.values())
    options = "".join(f'<option value="{key}">{name}</option>' for key, name in _ORDERS.items())
    items = f"{listed(lines)}<li>Marks: {marks} (not counted).</li>"
    controls = f"""<div class="controls" id="controls" role="search" hidden>
<label>Sort by <select id="sort">{options}</select></label>
<label>Filter by name <input id="filter" type="search" autocomplete="off"></label>
<output id="shown" aria-live="polite"></output>
</div>
<main id="queries">"""
    return page_start(title, STYLE, items, controls, SCRIPT)
