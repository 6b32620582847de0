"""The page of an evaluation's queries and of what was found for them, to sort and to filter."""

from pathlib import Path

from darac_tf.reports import web_page
from darac_tf.reports.markdown import is_missing
from darac_tf.reports.query_rows import pick_queries

# Class of the frame, sign, and word for those who see neither.
_VERDICTS = {True: ("right", "✓"), False: ("wrong", "✗"), None: ("junk", "-")}
_CONTROLS = """<div class="controls" id="controls" role="search" hidden>
<label>Sort by <select id="sort"><option value="given">order of the data set</option>
<option value="ap">AP, lowest first</option><option value="-ap">AP, highest first</option>
<option value="name">name</option></select></label>
<label>Filter by name <input id="filter" type="search" autocomplete="off"></label>
<output id="shown" aria-live="polite"></output>
</div>
"""
# The state is in the address after "#", so that a view can be kept as a bookmark.
_SCRIPT = """
"use strict";
const list = document.getElementById("queries");
const queries = Array.from(list.children);
const sort = document.getElementById("sort");
const filter = document.getElementById("filter");
const shown = document.getElementById("shown");
const nameOf = (query) => query.querySelector("h2").textContent;

function byAp(sign) {
  return (a, b) => {
    const [x, y] = [a.dataset.ap, b.dataset.ap];
    if (x === "" || y === "") return (x === "") - (y === "");  // without AP: always last
    return sign * (Number(x) - Number(y));
  };
}

const orders = {
  given: () => 0,
  ap: byAp(1),
  "-ap": byAp(-1),
  name: (a, b) => nameOf(a).localeCompare(nameOf(b)),
};

function arrange() {
  const wanted = filter.value.trim().toLowerCase();
  let count = 0;
  for (const query of queries) {
    query.hidden = !nameOf(query).toLowerCase().includes(wanted);
    count += !query.hidden;
  }
  list.append(...queries.slice().sort(orders[sort.value]));
  shown.textContent = `${count} of ${queries.length} queries`;
}

function readAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  const order = state.get("sort");
  sort.value = Object.hasOwn(orders, order) ? order : "given";
  const text = state.get("filter") || "";
  if (filter.value.trim() !== text) filter.value = text;
  arrange();
}

function writeAddress() {
  arrange();
  const state = new URLSearchParams({ sort: sort.value, filter: filter.value.trim() });
  location.replace(`#${state}`);
}

sort.addEventListener("change", writeAddress);
filter.addEventListener("input", writeAddress);
addEventListener("hashchange", readAddress);
document.getElementById("controls").hidden = false;
readAddress();

// Says on <html> how many thumbnails the browser could decode.
addEventListener("load", () => {
  const images = Array.from(document.images);
  const good = images.filter((image) => image.naturalWidth > 0).length;
  document.documentElement.dataset.thumbnails = `${good} of ${images.length}`;
});
"""


def write_ranking_page(path, title, summary_lines, rows, max_queries=100, max_ranks=20):
    """Writes the page of one row of the table.

    With more queries than `max_queries`, queries spread evenly from the lowest AP to the highest
    are shown, in the order of the data set. The page says what it shows and what size that has:
    with the default limits 15 MB or less. A text stands for an image that can't be read.

    Args:
        path: HTML file to write.
        title: One line: the descriptor and what it was measured on.
        summary_lines: Sentences below it: scores, protocol, notes.
        rows: Non-empty list of `QueryRow`, in the order of the data set.
        max_queries: Most queries to show, at least 1.
        max_ranks: Most ranks of each to show, at least 1.

    Raises:
        UserError: If the file can't be written.
        ValueError: If there are no rows, or a limit is below 1.
    """
    if not rows:
        raise ValueError("A page of rankings needs at least one row. Received: none")
    if min(max_queries, max_ranks) < 1:
        raise ValueError(f"Limits must be at least 1. Received: {max_queries}, {max_ranks}")
    chosen = [rows[query] for query in _chosen(rows, max_queries)]
    shown = [image.path for row in chosen for image in row.ranks[:max_ranks]]
    thumbnails = web_page.Thumbnails([*(row.query_path for row in chosen), *shown])
    articles = [query_article(row, max_ranks, thumbnails) for row in chosen]
    lines = [*summary_lines, *_facts(rows, chosen, max_ranks, thumbnails)]
    web_page.write_page(path, title, lines, articles, _CONTROLS, _SCRIPT)


def query_article(row, max_ranks, thumbnails):
    """HTML of a `QueryRow` and its first ranks, with `web_page.Thumbnails`."""
    name = thumbnails.name(row.query_path)
    box = "" if row.box is None else f", box {', '.join(f'{edge:g}' for edge in row.box)}"
    side, alt = web_page.QUERY_SIDE, f"Query {name}{box}"
    image = thumbnails.element(row.query_path, alt, side, row.box, row.turns)
    missing = is_missing(row.ap)
    ap = "AP - (no positive)" if missing else f"AP {100 * row.ap:.2f} %"
    figures = [_figure(*ranked, thumbnails) for ranked in enumerate(row.ranks[:max_ranks], 1)]
    attributes = f' data-ap="{"" if missing else repr(float(row.ap))}"'
    return web_page.article(name, ap, image, figures, attributes)


def _figure(rank, ranked, thumbnails):
    name = thumbnails.name(ranked.path)
    word, sign = _VERDICTS[ranked.verdict]
    alt = f"Rank {rank}, {word}, score {ranked.score:.3f}: {name}"
    image = thumbnails.element(ranked.path, alt, web_page.RANK_SIDE, turns=ranked.turns)
    return web_page.figure(image, alt, rank, f"{ranked.score:.3f}", Path(name).name, word, sign)


def _chosen(rows, max_queries):
    if len(rows) <= max_queries:
        return range(len(rows))
    picked = pick_queries([row.ap for row in rows], max_queries)
    # Where few queries have an AP, the first of the others fill up.
    others = [query for query in range(len(rows)) if query not in set(picked)]
    return sorted(picked + others[: max_queries - len(picked)])


def _facts(rows, chosen, max_ranks, thumbnails):
    """Sentences on what the page shows."""
    which = ", spread evenly from the lowest AP to the highest" if len(chosen) < len(rows) else ""
    cut = max(len(row.ranks) for row in chosen) > max_ranks
    ranks = f", the first {max_ranks} ranks of each" if cut else ""
    yield f"Shown: {len(chosen)} of {len(rows)} queries{which}{ranks}."
    yield f"{thumbnails.count} thumbnails, {thumbnails.n_bytes / 1e6:.1f} MB."
    if thumbnails.root:
        yield f"Images are in {thumbnails.root}."
    if any(row.box is not None for row in chosen):
        yield "The yellow box is what was searched for; what is outside was cut off."
    marks = ", ".join(f"{sign} {word}" for word, sign in _VERDICTS.values())
    yield f"Marks: {marks} (not counted)."
