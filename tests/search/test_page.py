"""The page of results: structure, escaping, thumbnails, images that are gone."""

import base64
import hashlib
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from darac_tf.errors import printable
from darac_tf.search import Query
from darac_tf.search.page import PAGE_RANKS, write_results_page
from darac_tf.search.query import Result
from tests.reports.page_images import HOSTILE_NAMES, write_images
from tests.reports.parsed_page import ParsedPage


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "im ages").mkdir()
    return write_images(tmp_path / "im ages")


@pytest.fixture
def written(tmp_path):
    """Writes a page and returns it parsed, and as text."""

    def write(queries, found, lines=()):
        write_results_page(tmp_path / "new" / "page.html", queries, found, lines)
        text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
        return ParsedPage(text), text

    return write


def found_of(paths):
    return [Result(rank, 1.0 - rank / 100, path) for rank, path in enumerate(paths, 1)]


def test_query_and_results_are_shown(written, paths):
    queries = [Query(paths[5]), Query(paths[5], (10, 20, 100, 80))]
    page, _ = written(queries, [found_of(paths), found_of(paths[:2])], ["Exact search."])
    assert page.all("h1")[0]["text"] == "Most like plain.jpg, plain.jpg"
    lines = [item["text"] for item in page.all("li")[:2]]
    assert lines[0] == "Exact search." and "im ages; a click opens one" in lines[1]
    assert [heading["text"] for heading in page.all("h2")] == ["plain.jpg"] * 2
    assert [part["text"] for part in page.all("p")] == ["the whole image", "box 10, 20, 100, 80"]
    scores = [score["text"] for score in page.all("span", class_="score")]
    assert scores == [
        "0.9900",
        "0.9800",
        "0.9700",
        "0.9600",
        "0.9500",
        "0.9400",
        "0.9900",
        "0.9800",
    ]
    assert len(page.all("img")) == 2 + 6 + 2
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("meta", name="color-scheme")[0]["content"] == "light dark"


def test_names_are_text_and_never_markup(written, paths):
    page, text = written([Query(path) for path in paths], [found_of(paths)] * len(paths))
    shown = [printable(name) for name in HOSTILE_NAMES]
    assert [heading["text"] for heading in page.all("h2")] == shown
    assert [name["text"] for name in page.all("bdi", class_="name")[: len(shown)]] == shown
    assert page.all("figure")[0]["title"] == f"Rank 1, similarity 0.9900: {shown[0]}"
    allowed = {"tag", "text", "src", "alt", "width", "height", "decoding"}
    for image in page.all("img"):
        assert set(image) == allowed and image["alt"]
    assert page.all("script") == []
    assert "caf\\udce9.jpg" in text


def test_a_link_opens_the_file(written, paths):
    page, _ = written([Query(paths[5])], [found_of(paths)])
    links = [link["href"] for link in page.all("a")]
    assert links == [Path(path).as_uri() for path in paths]
    assert all(re.fullmatch(r"file:///[\w/%.~&;=+$,:@'()!*-]+", link) for link in links)


def test_nothing_is_loaded_and_no_script_may_run(written, paths):
    page, text = written([Query(paths[5])], [found_of(paths)])
    assert all(re.fullmatch(r"data:image/jpeg;base64,[\w+/=]+", i["src"]) for i in page.all("img"))
    assert not re.search(r"https?:|url\(|@import", text)
    assert {element["tag"] for element in page.elements}.isdisjoint({"link", "iframe", "base"})
    (policy,) = (element for element in page.all("meta") if "http-equiv" in element)
    rules = dict(rule.split(None, 1) for rule in policy["content"].split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules["style-src"] == f"'sha256-{digest}'"


def test_thumbnails_are_the_images(written, tmp_path):
    picture = np.zeros((60, 90, 3), np.uint8)
    picture[:, :45] = (255, 0, 0)  # blue, in OpenCV's order
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    page, _ = written([Query(str(tmp_path / "a.png"))], [found_of([str(tmp_path / "a.png")])])
    for image, side in zip(page.all("img"), (280, 168), strict=True):
        data = base64.b64decode(image["src"].split(",")[1])
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape[:2] == (int(image["height"]), int(image["width"]))
        assert pixels.shape[1] == side
        assert abs(pixels[10, 10] - np.array([255, 0, 0.0])).max() < 12
        assert pixels[10, -10].max() < 12


def test_images_that_are_gone_or_damaged_are_named(written, paths):
    os.unlink(paths[0])  # noqa: PTH108 - a name that pathlib would normalise
    Path(paths[5]).write_bytes(b"damaged")
    page, _ = written([Query(paths[5])], [found_of(paths)])
    absent = page.all("div", class_="absent")
    assert [part["aria-label"].split(":")[0] for part in absent] == [
        "Query plain.jpg",
        "Rank 1, similarity 0.9900",
        "Rank 6, similarity 0.9400",
    ]
    assert {part["role"] for part in absent} == {"img"}
    assert len(page.all("img")) == 4


def test_long_lists_are_cut_and_nothing_found_is_a_page_too(written, paths):
    many = [Result(rank, 0.5, paths[5]) for rank in range(1, PAGE_RANKS + 2)]
    page, _ = written([Query(paths[5])], [many])
    assert len(page.all("figure")) == PAGE_RANKS
    assert page.all("li")[0]["text"] == f"The first {PAGE_RANKS} of each query are shown."
    page, _ = written([Query(paths[5])] * 4, [[]] * 4)
    assert page.all("figure") == [] and page.all("h1")[0]["text"].endswith("and others")
    with pytest.raises(ValueError, match="Received: none"):
        written([], [])
