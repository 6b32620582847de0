import csv
import doctest
import os

import cv2
import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darac_tf.reports import pictures, query_rows
from darac_tf.reports.pictures import draw_rankings
from darac_tf.reports.query_rows import QueryRow, RankedImage, pick_queries

# Red, green, blue ranges of the frames' colours in the PNG.
GREEN, RED = (0x1A, 0x96, 0x41), (0xD7, 0x19, 0x1C)


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "_DPI", 72)


@pytest.fixture
def images(tmp_path):
    """Paths of a landscape, a portrait and a one-pixel image, all grey."""
    paths = []
    for name, (height, width) in {"wide": (40, 90), "tall": (90, 40), "dot": (1, 1)}.items():
        paths.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(paths[-1]), np.full((height, width, 3), 128, np.uint8))
    return paths


def draw(path, rows, title, **options):
    rows = [QueryRow(p, ap=ap, ranks=[RankedImage(*r) for r in ranks]) for p, ap, ranks in rows]
    draw_rankings(path, rows, title, **options)


def _count(path, color, columns=slice(None)):
    image = cv2.imread(str(path))[:, :, ::-1].astype(int)[:, columns]
    return int((np.abs(image - color).max(axis=2) < 12).sum())


def test_frames_are_green_for_right_and_red_for_wrong(tmp_path, images):
    wide, tall, dot = images
    right, wrong = (tall, np.bool_(True), 0.9), (dot, np.bool_(False), 0.5)
    for name, ranks, expected in [
        ("right", [right], (True, False)),
        ("wrong", [wrong], (False, True)),
        ("both", [right, wrong], (True, True)),
        ("skipped", [(tall, None, 0.9)], (False, False)),
    ]:
        target = tmp_path / "new" / f"{name}.png"
        draw(target, [(wide, 0.5, ranks)], "title")
        found = tuple(_count(target, color) > 200 for color in (GREEN, RED))
        assert found == expected, name


def test_ranks_run_from_left_to_right(tmp_path, images):
    wide, tall, _ = images
    target = tmp_path / "r.png"
    draw(target, [(wide, 0.5, [(tall, False, 0.9), (tall, True, 0.8)])], "title")
    width = cv2.imread(str(target)).shape[1]
    # The last of three image columns is the right fourth of the page.
    last = slice(round(0.73 * width), None)
    assert _count(target, GREEN, last) == _count(target, GREEN) > 200
    assert _count(target, RED, last) == 0


def test_a_row_a_query_and_short_rows_are_drawn(tmp_path, images):
    wide, tall, dot = images
    row = (wide, 0.25, [(tall, True, 0.9), (dot, False, 0.1)])
    draw(tmp_path / "one.png", [row], "title")
    draw(tmp_path / "three.png", [row, (tall, float("nan"), []), (dot, None, [])], "$a_b$")
    one, three = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("one", "three"))
    assert one.shape[1] == three.shape[1]
    row_height = round(pictures._CELL_INCHES * pictures._DPI)
    assert three.shape[0] == pytest.approx(one.shape[0] + 2 * row_height, abs=2)


def test_the_same_rows_give_the_same_picture(tmp_path, images):
    rows = [(images[0], 0.25, [(images[1], True, 0.9)])]
    settings = dict(matplotlib.rcParams)
    draw(tmp_path / "a.png", rows, "title")
    draw(tmp_path / "b.png", rows, "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert dict(matplotlib.rcParams) == settings


def test_dollars_in_names_are_no_formula(tmp_path, images):
    query = images[0].rename(tmp_path / "$^$.png")  # an error as a formula
    draw(tmp_path / "r.png", [(query, 0.5, [])], "$^$")


def test_names_of_any_bytes_are_drawn(tmp_path, images):
    name = os.fsdecode(b"caf\xe9")
    query = images[0].rename(tmp_path / f"{name}.png")
    draw(tmp_path / "r.png", [(query, 0.5, [])], name)


def test_photographs_are_drawn(tmp_path, shared_data):
    folder = shared_data / "images" / "buildings"
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:4]
    ranks = [(folder / r["path"], r["label"] == rows[0]["label"], 0.5) for r in rows[1:]]
    draw(tmp_path / "r.png", [(folder / rows[0]["path"], 0.5, ranks)], "buildings")
    # Photographs have thousands of colours, frames and letters few.
    assert len(np.unique(cv2.imread(str(tmp_path / "r.png")).reshape(-1, 3), axis=0)) > 5000


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_an_image_that_cannot_be_read_is_grey(tmp_path, images, content):
    bad = tmp_path / "bad.jpg"
    if content is not None:
        bad.write_bytes(content)
    draw(tmp_path / "r.png", [(bad, 0.0, [(images[0], True, 0.9)])], "title")
    assert _count(tmp_path / "r.png", (pictures._ABSENT,) * 3) > 1000


def test_refuses_no_rows(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        draw(tmp_path / "r.png", [], "title")


def test_docstring_examples():
    result = doctest.testmod(query_rows)
    assert result.attempted >= 1
    assert result.failed == 0


@given(st.lists(st.none() | st.floats(0, 1), max_size=40), st.integers(1, 45))
def test_picked_queries_are_spread_from_worst_to_best(ap, count):
    picked = pick_queries(ap, count)
    scored = [query for query, value in enumerate(ap) if value is not None]
    assert len(picked) == len(set(picked)) == min(count, len(scored))
    assert set(picked) <= set(scored)
    values = [ap[query] for query in picked]
    assert values == sorted(values)
    if picked:
        assert values[0] == min(ap[query] for query in scored)
    if len(picked) > 1:
        assert values[-1] == max(ap[query] for query in scored)


def test_picked_queries_are_evenly_spaced_and_stable():
    assert pick_queries(np.linspace(0, 1, 11), 3) == [0, 5, 10]
    assert pick_queries([0.5, 0.5, 0.5, 0.1], 4) == [3, 0, 1, 2]


def test_refuses_to_pick_none():
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        pick_queries([0.5], 0)
