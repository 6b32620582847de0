"""Text of pictures, in fonts that have its characters, or with something in its place."""

import functools
import logging

from matplotlib import font_manager

from darac_tf.errors import printable

_LOG = logging.getLogger(__name__)
# Of texts, in the order they are tried. `drawable` adds those that a text needs.
FAMILIES = ["DejaVu Sans"]


def drawable(text, number=None):
    """`printable` text to be drawn with `FAMILIES`.

    Where no font of this system has all of it, the number of what it names, or "?" for characters.
    """
    text = printable(text)
    if missing := _missing(frozenset(text)):
        _say_once()
        text = "".join("?" if each in missing else each for each in text)
    return f"#{number}" if missing and number is not None else text


@functools.cache
def _missing(characters):
    missing, entries = set(characters), font_manager.fontManager.ttflist
    upright = {e.name: e.fname for e in entries if (e.style, e.weight) == ("normal", 400)}
    upright[FAMILIES[0]] = font_manager.findfont(FAMILIES[0])
    for name in (*FAMILIES, *sorted(upright.keys() - set(FAMILIES))):
        if missing and not name.startswith("Last Resort"):  # Which has a box for all characters.
            font = font_manager.get_font(upright[name])
            found = {each for each in missing if font.get_char_index(ord(each))}
            FAMILIES.extend({name} - set(FAMILIES) if found else ())
            missing -= found
    return missing


@functools.cache
def _say_once():
    _LOG.warning("no font here has all characters of the names: pictures have numbers instead")
