"""What `make docs` adds to the pages of this folder: those of the checkout, and the reference.

MkDocs calls both functions, and mkdocstrings the class. Links to files that are no pages become
their paths, and one that leads nowhere is an error.
"""

import re
from pathlib import Path

from griffe import Extension
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

import darac_tf

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "BUILD.md": "building.md", "CHANGELOG.md": "changes.md"}
# The list of darac_tf/__init__.py, but for the last: `darac --help` explains the commands.
PACKAGES = re.findall(r"^    (\w+)  ", darac_tf.__doc__, re.MULTILINE)[:-1]


def on_files(files, config):
    """Adds the pages."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for name in PACKAGES:
        text = f"# darac_tf.{name}\n\n::: darac_tf.{name}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns links within the checkout into links within the site."""
    own = {page: ROOT / name for name, page in PAGES.items()}
    source = own.get(page.file.src_uri, ROOT / "docs" / page.file.src_uri)

    def rewritten(link):
        text, target, anchor = link.groups()
        path = (source.parent / target).resolve()
        if not path.exists():
            raise PluginError(f"{source}: a link leads nowhere: {target}")
        name = str(path.relative_to(ROOT))
        inside = PAGES.get(name, name.removeprefix("docs/"))
        if files.get_file_from_path(inside) is None:
            return f"{text} (`{name}`)"
        return f"[{text}]({'../' * page.file.src_uri.count('/')}{inside}{anchor or ''})"

    return re.sub(r"\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)", rewritten, markdown)


class Doctests(Extension):
    """Shows `>>>` and what follows it as code, wherever it stands in a docstring."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            block = r"^>>> .*(?:\n.+)*"
            obj.docstring.value = re.sub(
                block, "```python\n\\g<0>\n```", obj.docstring.value, flags=re.MULTILINE
            )
