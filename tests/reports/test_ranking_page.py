import base64
import hashlib
import re

import cv2
import numpy as np
import pytest

from darac_tf.errors import printable
from darac_tf.reports.query_rows import QueryRow, RankedImage
from darac_tf.reports.ranking_page import write_ranking_page
from tests.reports.page_images import HOSTILE_NAMES, rows_of, write_images
from tests.reports.parsed_page import ParsedPage


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "images").mkdir()
    return write_images(tmp_path / "images")


@pytest.fixture
def written(tmp_path):
    """Writes a page and returns it parsed, and as text."""

    def write(rows, title="title", lines=(), **limits):
        write_ranking_page(tmp_path / "new" / "page.html", title, lines, rows, **limits)
        text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
        return ParsedPage(text), text

    return write


def test_queries_and_ranks_are_shown_with_sign_score_and_ap(written, paths):
    page, _ = written(rows_of(paths), "DARAC", ["mAP (Oxford) 83.40"])
    assert page.all("h1")[0]["text"] == page.all("title")[0]["text"] == "DARAC"
    assert page.all("li")[0]["text"] == "mAP (Oxford) 83.40"
    assert [article["data-ap"] for article in page.all("article")] == [
        "0.5",
        "",
        "0.25",
        "1.0",
        "0.0625",
        "0.75",
    ]
    ap = [element["text"] for element in page.all("p", class_="line")]
    assert ap[:3] == ["AP 50.00 %", "AP - (no positive)", "AP 25.00 %"]
    figures = page.all("figure")
    assert [figure["class"] for figure in figures[:6]] == ["right", "wrong", "junk"] * 2
    assert [sign["text"] for sign in page.all("span", class_="sign")[:3]] == ["✓", "✗", "-"]
    assert [score["text"] for score in page.all("span", class_="score")[:3]] == [
        "0.900",
        "0.800",
        "0.700",
    ]
    assert len(figures) == 36
    assert len(page.all("img")) == 42


def test_names_are_text_and_never_markup(written, paths):
    title = '<script>hacked</script> & "it\'s"'
    page, text = written(rows_of(paths), title, [title])
    shown = [printable(name) for name in HOSTILE_NAMES]
    assert [heading["text"] for heading in page.all("h2")] == shown
    assert page.all("h1")[0]["text"] == page.all("li")[0]["text"] == title
    assert "Rank 1, right, score 0.900: " + shown[0] == page.all("figure")[0]["title"]
    assert page.all("img")[1]["alt"] == page.all("figure")[0]["title"]
    assert "box 10.5, 20, 100, 80" in [image["alt"] for image in page.all("img")][7]
    assert len(page.all("script")) == 1
    allowed = {"tag", "text", "src", "alt", "width", "height", "decoding"}
    assert all(set(image) == allowed for image in page.all("img"))
    assert "caf\\udce9.jpg" in text


def test_nothing_is_loaded_and_only_the_own_script_may_run(written, paths):
    page, text = written(rows_of(paths))
    assert all(re.fullmatch(r"data:image/jpeg;base64,[\w+/=]+", i["src"]) for i in page.all("img"))
    assert not re.search(r"https?:|url\(|@import|\son\w+\s*=|\sstyle\s*=", text.split("<main")[0])
    assert {element["tag"] for element in page.elements}.isdisjoint({"link", "iframe", "a", "base"})
    (policy,) = (element for element in page.all("meta") if "http-equiv" in element)
    rules = dict(rule.split(None, 1) for rule in policy["content"].split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        digest = hashlib.sha256(page.all(tag)[0]["text"].encode()).digest()
        assert rules[f"{tag}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"
    # The policy stands before what it shall hold for.
    assert text.index("Content-Security-Policy") < text.index("<title>")


def test_thumbnails_show_boxes_turns_and_are_small(written, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((300, 900, 3), 200, np.uint8))
    row = QueryRow(
        tmp_path / "a.png", (0, 0, 450, 300), 1, 1.0, [RankedImage(tmp_path / "a.png", True, 1)]
    )
    page, _ = written([row])
    query, found = (_decoded(image["src"]) for image in page.all("img"))
    assert query.shape == (280, 93, 3)
    assert found.shape == (56, 168, 3)
    assert [int(image["width"]) for image in page.all("img")] == [93, 168]
    # After a quarter turn counter-clockwise the box is the lower half.
    assert query[200, 46].mean() > 190
    assert query[60, 46].mean() < 100
    assert found.mean() == pytest.approx(200, abs=2)


def test_limits_are_kept_and_said(written, tmp_path, paths):
    rows = [
        QueryRow(paths[-1], ap=i / 10, ranks=[RankedImage(paths[-1], True, 0.5)] * 9)
        for i in range(11)
    ]
    page, _ = written(rows, max_queries=3, max_ranks=2)
    assert [article["data-ap"] for article in page.all("article")] == ["0.0", "0.5", "1.0"]
    assert len(page.all("figure")) == 6
    facts = [item["text"] for item in page.all("li")]
    assert (
        "Shown: 3 of 11 queries, spread evenly from the lowest AP to the highest, "
        "the first 2 ranks of each."
    ) in facts
    assert f"Images are in {tmp_path / 'images'}." in facts
    n_bytes = sum(len(image["src"]) for image in page.all("img"))
    assert f"9 thumbnails, {n_bytes / 1e6:.1f} MB." in facts
    assert "Shown: 11 of 11 queries." in written(rows, max_ranks=9)[1]


def test_queries_without_an_ap_fill_up(written, paths):
    rows = [QueryRow(paths[-1], ap=ap) for ap in (None, 0.5, float("nan"), None)]
    page, _ = written(rows, max_queries=3)
    assert [article["data-ap"] for article in page.all("article")] == ["", "0.5", ""]


def test_names_are_whole_where_images_share_no_folder(written, paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = QueryRow("images/plain.jpg", ap=1.0, ranks=[RankedImage(paths[-1], True, 0.5)])
    page, text = written([row])
    assert page.all("h2")[0]["text"] == "images/plain.jpg"
    assert "Images are in" not in text
    assert page.all("bdi", class_="name")[0]["text"] == "plain.jpg"


def test_bad_images_have_a_text(written, paths, tmp_path):
    bad = tmp_path / "images" / "<bad>.jpg"
    bad.write_bytes(b"no image")
    row = QueryRow(paths[0], ap=0.5, ranks=[RankedImage(bad, False, -1.0)])
    page, _ = written([row])
    (absent,) = page.all("div", class_="absent")
    assert absent["aria-label"] == "Rank 1, wrong, score -1.000: <bad>.jpg"


def test_the_same_rows_give_the_same_page(written, paths):
    assert written(rows_of(paths))[1] == written(rows_of(paths))[1]


def test_refuses_no_rows_and_no_room(written, paths):
    with pytest.raises(ValueError, match="at least one row"):
        written([])
    for limits in ({"max_queries": 0}, {"max_ranks": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            written(rows_of(paths), **limits)


def _decoded(uri):
    data = base64.b64decode(uri.split(",")[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
