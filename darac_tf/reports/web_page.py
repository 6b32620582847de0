"""Pages of queries and of what was found for them: each is one file that opens from disk.

Everything is in it: thumbnails as `data:` URIs, style and script inline. A content security
policy allows these and nothing else. File names are untrusted and escaped.
"""

import base64
import contextlib
import hashlib
import html
import os

from darac_tf.errors import UserError, printable
from darac_tf.files import atomic_path, common_folder
from darac_tf.reports.thumbnails import jpeg_uri, thumbnail

QUERY_SIDE, RANK_SIDE = 280, 168
_STYLE = """
:root { --page: #fafafa; --card: #fff; --text: #1c1c1e; --soft: #5c5c66; --line: #d9d9de;
  --right: #12803a; --wrong: #c4141c; --junk: #76767e; }
@media (prefers-color-scheme: dark) {
  :root { --page: #161618; --card: #202024; --text: #ececf0; --soft: #a6a6b0; --line: #3a3a42;
    --right: #3cc46c; --wrong: #ff6b6b; --junk: #9a9aa4; }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 110rem; padding: 1rem; background: var(--page);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: .9rem; overflow-wrap: anywhere; }
ul.summary { margin: 0 0 .75rem; padding-left: 1.2rem; color: var(--soft);
  overflow-wrap: anywhere; }
.controls { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem 1rem;
  align-items: center; margin-bottom: .75rem; padding: .6rem 0; background: var(--page);
  border-bottom: 1px solid var(--line); }
.controls input, .controls select { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 4px; padding: .2rem .4rem; max-width: 100%; }
.controls output { color: var(--soft); }
article { display: grid; grid-template-columns: 12rem minmax(0, 1fr); gap: 1rem; padding: .9rem;
  margin-bottom: .75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; }
.asked p { margin: .15rem 0 .4rem; font-variant-numeric: tabular-nums; }
img, .absent { display: block; width: 100%; height: 8.5rem; object-fit: contain;
  background: var(--page); }
.asked img { height: auto; max-height: 14rem; object-position: left; background: none; }
.absent { display: grid; place-content: center; text-align: center; font-size: .75rem;
  color: var(--soft); }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem;
  margin: 0; padding: 0; list-style: none; }
figure { margin: 0; border: 4px solid var(--mark); border-radius: 4px; overflow: hidden; }
figure a { display: block; color: inherit; }
figure a:focus-visible { outline: 3px solid var(--right); outline-offset: -3px; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .4rem;
  padding: .1rem .35rem .2rem; font-size: .75rem; font-variant-numeric: tabular-nums; }
figcaption .score { margin-left: auto; }
figcaption .name { flex-basis: 100%; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; color: var(--soft); }
.sign { font-size: 1rem; font-weight: 700; line-height: 1.2; color: var(--mark); }
.right { --mark: var(--right); } .wrong { --mark: var(--wrong); } .junk { --mark: var(--junk); }
.junk img { opacity: .55; }
.found { --mark: var(--line); border-width: 1px; }
section { padding: .9rem; margin-bottom: .75rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; }
section > h2 { font-size: 1.05rem; margin-bottom: .5rem; }
section > p { max-width: 46rem; margin: .3rem 0 .8rem; color: var(--soft); }
section article { padding: .6rem 0; border: 0; margin: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
tbody th { font-weight: 400; }
.best th, .best td { font-weight: 700; }
td svg { width: 7rem; height: .6rem; margin-left: .4rem; background: var(--page); }
.bar { fill: var(--soft); } .best .bar { fill: var(--right); }
img.picture { width: auto; max-width: 100%; height: auto; border-radius: 4px; }
pre { margin: 0; padding: .7rem; overflow-x: auto; background: var(--page); border-radius: 4px; }
a { color: inherit; }
@media (max-width: 42rem) {
  article { grid-template-columns: minmax(0, 1fr); }
  ol { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); }
  img, .absent { height: 6.5rem; }
}
@media print { .controls { display: none; } article { break-inside: avoid; } }
"""


def write_page(path, title, lines, articles, controls="", script=None):
    """Writes an HTML file, in which nothing but its own style and script is allowed.

    A title of one line, sentences below it, HTML of `controls` and of each `article` (an iterable),
    and the page's script, None for none. `UserError` if the file can't be written.
    """
    allowed = "" if script is None else f"script-src '{_digest(script)}'; "
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(_STYLE)}'; "
        f"{allowed}base-uri 'none'; form-action 'none'"
    )
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escaped(title)}</h1>
<ul class="summary">{items}</ul>
{controls}<main id="queries">
""")
        file.writelines(articles)
        end = "" if script is None else f"<script>{script}</script>\n"
        file.write(f"</main>\n{end}</body>\n</html>\n")


def article(name, line, image, figures, attributes=""):
    """HTML of a query: its name, a line on it, its image, and the `figure`s found for it."""
    found = "\n".join(figures)
    return (
        f'<article{attributes}>\n<div class="asked"><h2><bdi>{escaped(name)}</bdi></h2>'
        f'<p class="line">{escaped(line)}</p>{image}</div>\n<ol>\n{found}\n</ol>\n</article>\n'
    )


def figure(image, alt, rank, score, name, kind="found", sign=""):
    """HTML of an image (`Thumbnails.element`) that was found.

    `alt` says what it is, `kind` is the class of its frame ("right", "wrong", "junk" or "found"),
    and `sign` is HTML that says the same to those who see no colours.
    """
    mark = f'<span class="sign">{sign}</span>' if sign else ""
    return (
        f'<li><figure class="{kind}" title="{escaped(alt)}">{image}<figcaption>{mark}'
        f'<span>{rank}</span><span class="score">{score}</span>'
        f'<bdi class="name">{escaped(name)}</bdi></figcaption></figure></li>'
    )


class Thumbnails:
    """Makes `<img>` elements; each file is read once for each way it is shown.

    Args:
        paths: Of all images whose names are shown by their path below the folder that they share.

    Attributes:
        root: The folder that all images share, or None.
        count: Elements made with an image.
        n_bytes: Their size on the page.
    """

    def __init__(self, paths):
        self.root = common_folder(paths)
        self.count = self.n_bytes = 0
        self._made = {}

    def name(self, path):
        """The name that is shown."""
        return os.path.relpath(path, self.root) if self.root else os.fspath(path)

    def element(self, path, alt, long_side, box=None, turns=None):
        """HTML of an image, see `thumbnails.thumbnail`, or of a text where it can't be read."""
        path = os.fspath(path)
        key = (path, long_side, None if box is None else tuple(map(float, box)), turns)
        if key not in self._made:
            self._made[key] = None
            with contextlib.suppress(UserError):
                image = thumbnail(path, long_side, box, turns)
                self._made[key] = jpeg_uri(image), image.shape
        if self._made[key] is None:
            label = f'role="img" aria-label="{escaped(alt)}"'
            return f'<div class="absent" {label}>cannot be read</div>'
        uri, (height, width, _) = self._made[key]
        self.count += 1
        self.n_bytes += len(uri)
        size = f'width="{width}" height="{height}"'
        return f'<img src="{uri}" alt="{escaped(alt)}" {size} decoding="async">'


def escaped(text):
    """Text of any kind, to stand in HTML and its attributes."""
    return html.escape(printable(str(text)), quote=True)


def _digest(text):
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
