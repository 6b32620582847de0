"""The documentation as a site: strict, so that a broken link or reference is an error."""

import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def test_the_site_is_made(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = {str(page.parent.relative_to(tmp_path)) for page in tmp_path.glob("**/index.html")}
    assert {".", "building", "changes", "results", "reference/losses"} <= pages
    metrics = (tmp_path / "reference" / "metrics" / "index.html").read_text(encoding="utf-8")
    assert "Whether any of the first k ranks is a hit" in metrics


def test_a_link_that_leads_nowhere_is_refused():
    rewritten = runpy.run_path(str(REPOSITORY / "docs" / "site.py"))["on_page_markdown"]
    page = SimpleNamespace(file=SimpleNamespace(src_uri="search.md"))
    files = SimpleNamespace(get_file_from_path={"index.md": "page"}.get)
    text = "[start](../README.md#start), [code](../eval.py), [web](https://example.org)"
    expected = "[start](index.md#start), code (`eval.py`), [web](https://example.org)"
    assert rewritten(text, page, None, files) == expected
    with pytest.raises(PluginError, match=r"search\.md: a link leads nowhere: absent\.md"):
        rewritten("[x](absent.md)", page, None, files)
