"""Opens the page of rankings from disk in a real browser, without a network.

A Chromium is looked for on the path, and a Firefox; `DARAC_BROWSER=/path/to/browser` names another
of either kind. Firefox can only take screenshots from the command line.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from darac_tf.errors import printable
from darac_tf.reports.ranking_page import write_ranking_page
from tests.reports.page_images import HOSTILE_NAMES, rows_of, write_images

pytestmark = pytest.mark.slow

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FIREFOXES = ("firefox", "firefox-esr")
# Frames of right, wrong and junk images, as red, green and blue, on a light page and a dark one.
FRAMES = {
    "light": [(0x12, 0x80, 0x3A), (0xC4, 0x14, 0x1C), (0x76, 0x76, 0x7E)],
    "dark": [(0x3C, 0xC4, 0x6C), (0xFF, 0x6B, 0x6B), (0x9A, 0x9A, 0xA4)],
}


def _find(names):
    named = os.environ.get("DARAC_BROWSER")
    if named:
        return shutil.which(named) if Path(named).name.startswith(names) else None
    return next(filter(None, map(shutil.which, names)), None)


def _browser(names):
    found = _find(names)
    if found is None:
        pytest.skip(f"no browser: install one of {', '.join(names)} or set DARAC_BROWSER")
    return found


def _run(arguments, folder):
    environment = os.environ | {"HOME": str(folder)}
    done = subprocess.run(
        arguments, capture_output=True, timeout=120, cwd=folder, env=environment, check=True
    )
    return done.stdout.decode("utf-8")


@pytest.fixture
def chromium(tmp_path):
    """Runs Chromium with some arguments and returns what it printed."""
    program = _browser(CHROMIUMS)
    # Its sandbox does not work for root; the page under test is our own.
    sandbox = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    common = ["--headless", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=10000"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"

    def run(*arguments):
        return _run([program, *sandbox, *common, profile, *arguments], tmp_path)

    return run


@pytest.fixture
def page(tmp_path):
    (tmp_path / "images").mkdir()
    paths = write_images(tmp_path / "images")
    target = tmp_path / "name with space" / "page.html"
    write_ranking_page(target, "<b>title</b>", ["one line"], rows_of(paths))
    return target


def _shown(dom):
    """APs of the articles that are shown, in the order of the page."""
    articles = re.findall(r"<article ([^>]*)>", dom)
    return [re.search(r'data-ap="([^"]*)"', a)[1] for a in articles if "hidden" not in a]


def test_every_thumbnail_is_decoded_and_no_name_is_run(chromium, page):
    dom = chromium("--dump-dom", page.as_uri())
    assert 'data-thumbnails="42 of 42"' in dom
    assert "data-hacked" not in dom
    assert dom.count("<img ") == 42
    assert len(re.findall(r"<script\b", dom)) == 1
    assert "6 of 6 queries" in dom
    assert not re.search(r'id="controls"[^>]* hidden', dom)
    assert "&lt;b&gt;title&lt;/b&gt;" in dom
    assert printable(HOSTILE_NAMES[4]) in dom


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", ["0.5", "", "0.25", "1.0", "0.0625", "0.75"]),
        ("#sort=ap", ["0.0625", "0.25", "0.5", "0.75", "1.0", ""]),
        ("#sort=-ap", ["1.0", "0.75", "0.5", "0.25", "0.0625", ""]),
        ("#sort=-ap&filter=onLOAD", ["0.25"]),
        ("#filter=.jpg", ["0.5", "", "0.25", "1.0", "0.0625", "0.75"]),
        ("#sort=constructor&filter=%3Cimg", ["0.5"]),
        ("#filter=absent", []),
    ],
)
def test_sorts_and_filters_as_the_address_says(chromium, page, address, expected):
    dom = chromium("--dump-dom", page.as_uri() + address)
    assert _shown(dom) == expected
    assert f"{len(expected)} of 6 queries" in dom


def test_controls_sort_filter_and_change_the_address(chromium, page):
    # Without the policy, which forbids such a script as this.
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8"))
    clicks = """<script>
    sort.value = "-ap"; sort.dispatchEvent(new Event("change"));
    filter.value = "a"; filter.dispatchEvent(new Event("input"));
    setTimeout(() => { document.body.dataset.address = location.hash; }, 100);
    </script></body>"""
    page.write_text(text.replace("</body>", clicks), encoding="utf-8")
    dom = chromium("--dump-dom", page.as_uri())
    assert _shown(dom) == ["0.75", "0.5", "0.25", "0.0625", ""]
    assert 'data-address="#sort=-ap&amp;filter=a"' in dom


def test_policy_stops_scripts_and_pictures_that_are_not_of_the_page(chromium, page):
    (page.parent / "x.png").write_bytes(cv2.imencode(".png", np.zeros((5, 5, 3), np.uint8))[1])
    planted = (
        '<img src="x.png" onload="document.body.dataset.hacked=1" alt="">'
        "<script>document.body.dataset.hacked=1</script><main "
    )
    text = page.read_text(encoding="utf-8").replace("<main ", planted)
    page.write_text(text, encoding="utf-8")
    dom = chromium("--dump-dom", page.as_uri())
    assert 'data-thumbnails="42 of 43"' in dom
    assert "data-hacked" not in dom
    # Without the policy both are run, so that the test can fail.
    page.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", text), encoding="utf-8")
    dom = chromium("--dump-dom", page.as_uri())
    assert 'data-thumbnails="43 of 43"' in dom
    assert "data-hacked" in dom


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1300), ("dark", 1300), ("light", 500), ("dark", 500)]
)
def test_frames_are_seen_on_light_and_dark_pages_of_any_width(
    chromium, page, tmp_path, scheme, width
):
    shot = tmp_path / "shot.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    size = f"--window-size={width},1600"
    chromium(*dark, size, f"--screenshot={shot}", page.as_uri())
    assert [count > 1000 for count in _frame_pixels(shot, scheme)] == [True] * 3
    corner = cv2.imread(str(shot))[-1, 0]
    assert (corner.mean() < 60) == (scheme == "dark")


def test_firefox_shows_the_frames(page, tmp_path):
    program = _browser(FIREFOXES)
    (tmp_path / "profile").mkdir()
    profile = ["--profile", str(tmp_path / "profile"), "--no-remote"]
    shot = tmp_path / "shot.png"
    size = ["--window-size", "1300,1600"]
    _run(
        [program, "--headless", *profile, *size, "--screenshot", str(shot), page.as_uri()], tmp_path
    )
    assert [count > 1000 for count in _frame_pixels(shot, "light")] == [True] * 3


def _frame_pixels(shot, scheme):
    image = cv2.imread(str(shot))[:, :, ::-1].astype(int)
    return [int((np.abs(image - color).max(axis=2) < 6).sum()) for color in FRAMES[scheme]]
