"""Markdown with text from file names and other reports, which may hold anything."""

import json
import math
import re

from darac_tf.errors import printable

ABSENT = "-"


def table(header, rows, numeric):
    """A Markdown table, without a newline at the end.

    Of a header, rows of as many strings, and for each column whether it is aligned to the right.

    >>> print(table(["Query", "AP"], [["a|b.jpg", "50.00"]], [False, True]))
    | Query | AP |
    | --- | ---: |
    | a\\|b.jpg | 50.00 |
    """
    rule = ["---:" if is_numeric else "---" for is_numeric in numeric]
    cells = [[escaped(cell) for cell in row] for row in (header, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))


def escaped(text):
    """One line of UTF-8 text, shown as it is: no cell border, tag, link, control or command.

    >>> print(escaped("a|b<i>\\nc"), escaped("\\x1b[2J"))
    a\\|b\\<i> c \\x1b[2J
    """
    return printable(re.sub(r"([|<`]|\](?=\())", r"\\\1", re.sub(r"[\r\n]+", " ", text)))


def percent(score, sign=False):
    """A score in percent with two decimals, with `sign` a plus too; a dash for None and NaN.

    >>> percent(0.83397), percent(0.01, sign=True), percent(None)
    ('83.40', '+1.00', '-')
    """
    if is_missing(score):
        return ABSENT
    return f"{100 * score:+.2f}" if sign else f"{100 * score:.2f}"


def listing(values):
    """A list item for each value of a dictionary that is not None."""
    known = {name: value for name, value in values.items() if value is not None}
    return "\n".join(escaped(f"- {name}: {as_text(value)}") for name, value in known.items())


def as_text(value):
    """A string as it is, a dash for None, and JSON of anything else."""
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else json.dumps(value)


def is_missing(score):
    """Whether a score is None or NaN: that of a query without a positive."""
    return score is None or math.isnan(score)
