"""The page of the demo: one HTML file with tables, pictures, queries and commands in it."""

import base64
from pathlib import Path

from darac_tf.reports.web_page import escaped


def section(title, *parts):
    """HTML of a section: its title, and parts of HTML."""
    return f"<section>\n<h2>{escaped(title)}</h2>\n{''.join(parts)}</section>\n"


def paragraph(text):
    """HTML of a paragraph of plain text."""
    return f"<p>{escaped(text)}</p>\n"


def table(header, rows, best=None):
    """HTML of a table of text, the first column of which names the row.

    Cells that are floats, scores in [0, 1], are shown in percent with a bar; `best` is the number
    of the row that stands out, or None.
    """
    head = "".join(f"<th>{escaped(name)}</th>" for name in header)
    lines = []
    for number, (name, *cells) in enumerate(rows):
        attributes = ' class="best"' if number == best else ""
        shown = "".join(f"<td>{_cell(cell)}</td>" for cell in cells)
        lines.append(f'<tr{attributes}><th scope="row">{escaped(name)}</th>{shown}</tr>\n')
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(lines)}</tbody></table>\n"


def _cell(cell):
    if not isinstance(cell, float):
        return escaped(cell)
    bar = f'<rect class="bar" width="{100 * cell:.1f}" height="10"/>'
    return f'{100 * cell:.1f} <svg viewBox="0 0 100 10" aria-hidden="true">{bar}</svg>'


def picture(path, alt):
    """HTML of a PNG file, which becomes a part of the page."""
    data = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return f'<img class="picture" src="data:image/png;base64,{data}" alt="{escaped(alt)}">\n'


def commands(lines):
    """HTML of commands to type, each with what it does: pairs of texts."""
    text = "\n".join(f"# {what}\n{command}\n" for what, command in lines)
    return f"<pre>{escaped_lines(text)}</pre>\n"


def escaped_lines(text):
    """Text of several lines as HTML."""
    return "\n".join(map(escaped, text.split("\n")))


def links(pages):
    """HTML of a list of links to files beside the page: pairs of path and text."""
    items = "".join(
        f'<li><a href="{escaped(Path(path).name)}">{escaped(text)}</a></li>' for path, text in pages
    )
    return f"<ul>{items}</ul>\n"
