"""What the HTML pages share: the start of a page, its content security policy, and escaping."""

import base64
import hashlib
import html

from darac_tf.reports.markdown import printable


def page_start(title, style, items, body="<main>", script=None):
    """A page up to its articles, in which nothing but its own style and script is allowed.

    Args:
        title: One line.
        style: Style sheet.
        items: HTML of the list below the title.
        body: HTML after it, which opens `main`.
        script: The page's script, or None for none.

    Returns:
        HTML that ends in a newline.
    """
    allowed = "" if script is None else f"script-src '{_digest(script)}'; "
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"{allowed}base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{escaped(title)}</h1>
<ul class="summary">{items}</ul>
{body}
"""


def picture(uri, shape, alt):
    """An image.

    Args:
        uri: Of `thumbnails.jpeg_uri`.
        shape: `(height, width, 3)` of it.
        alt: What stands for it.
    """
    size = f'width="{shape[1]}" height="{shape[0]}"'
    return f'<img src="{uri}" alt="{escaped(alt)}" {size} decoding="async">'


def absent_picture(alt):
    """What stands in the place of an image that cannot be read."""
    return f'<div class="absent" role="img" aria-label="{escaped(alt)}">cannot be read</div>'


def listed(lines):
    """List items of sentences."""
    return "".join(f"<li>{escaped(line)}</li>" for line in lines)


def escaped(text):
    """Text of any kind, to stand in HTML and its attributes."""
    return html.escape(printable(str(text)), quote=True)


def _digest(text):
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
