import doctest
import math
import os
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager

from darac_tf.errors import UserError
from darac_tf.metrics import plain_average_precision
from darac_tf.reports import glyphs, plots
from darac_tf.reports.plots import (
    draw_precision_recall,
    draw_query_ap,
    interpolated_precision,
    precision_recall,
    query_curves,
)

VERDICTS = st.lists(st.sampled_from([True, False, None]), max_size=30)


def _loop(verdicts, n_positives):
    points, rank, hits = [], 0, 0
    for verdict in verdicts:
        if verdict is None:
            continue
        rank += 1
        if verdict:
            hits += 1
            points.append((hits / rank, hits / n_positives))
    return points


@given(VERDICTS, st.integers(0, 5))
def test_precision_and_recall_are_those_of_a_loop(verdicts, n_missed):
    n_positives = max(1, sum(v is True for v in verdicts) + n_missed)
    points = _loop(verdicts, n_positives)
    for form in (
        verdicts,
        np.array(verdicts, object),
        [v if v is None else np.bool_(v) for v in verdicts],
    ):
        precision, recall = precision_recall(form, n_positives)
        assert list(zip(precision, recall, strict=True)) == points
    levels = [i / 10 for i in range(11)]
    expected = [max((p for p, r in points if r >= level), default=0.0) for level in levels]
    assert interpolated_precision(precision, recall, levels).tolist() == expected


@given(VERDICTS)
def test_precisions_at_hits_sum_to_the_plain_average_precision(verdicts):
    ranking = [i for i, verdict in enumerate(verdicts) if verdict is not None]
    positives = {i for i, verdict in enumerate(verdicts) if verdict}
    n_positives = len(positives) + 1
    precision, _ = precision_recall(verdicts, n_positives)
    ap = plain_average_precision(ranking, positives | {-1})
    assert math.isclose(precision.sum() / n_positives, ap)


def test_a_perfect_ranking_has_precision_1_everywhere_and_a_truncated_one_ends():
    perfect = np.array([True] * 4 + [False] * 6)
    rankings = zip([perfect, perfect[:2], perfect[:0], perfect], [4, 4, 4, 0], strict=True)
    rows = query_curves(rankings, [0.0, 0.5, 0.51, 1.0])
    assert rows.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("verdicts", "count", "message"),
    [
        ([True, False], 0, "at least 1"),
        ([True, True], 1, r"number of hits\. Received: 1 with 2 hits"),
        ([1, 0], 1, "must be True, False or None"),
        ([None, 1], 1, "must be True, False or None"),
        (["yes"], 1, "must be True, False or None"),
    ],
)
def test_refuses_other_verdicts_and_counts(verdicts, count, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(verdicts, count)


def _curve(label="a", shift=0, n_queries=3):
    verdicts = np.roll(np.array([True, True, None, False, False], object), shift)
    return label, query_curves([(verdicts, 2)] * n_queries)


def _is_drawn(path, color):
    """Whether the line's colour is in the picture, anti-aliasing aside."""
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    image = cv2.imread(str(path))[:, :, ::-1].astype(int)
    return int((np.abs(image - rgb).max(axis=2) < 12).sum()) > 100


def test_a_line_for_each_row_and_thin_lines_for_one(tmp_path):
    names = ("_hidden $x_y$", "plain", os.fsdecode(b"caf\xe9"))
    curves = [_curve(name, shift) for shift, name in enumerate(names)]
    draw_precision_recall(tmp_path / "new" / "three.png", "$a_b$", curves)
    assert all(_is_drawn(tmp_path / "new" / "three.png", color) for color in plots._COLORS[:3])
    assert not _is_drawn(tmp_path / "new" / "three.png", plots._COLORS[3])
    for count in (1, 30):  # more rows than colours
        draw_precision_recall(tmp_path / f"{count}.png", "t", [_curve(shift=1)] * count)
    draw_precision_recall(tmp_path / "many.png", "t", [_curve(n_queries=500)])


def test_labels_are_shown_as_they_are(tmp_path):
    draw_precision_recall(tmp_path / "a.svg", "title", [_curve(), _curve("_b")])
    draw_query_ap(tmp_path / "b.svg", "title", ["a$x_y$.jpg", "d/b.jpg"], [0.25, 0.5])
    # Matplotlib notes each text as a comment beside its outlines.
    assert "<!-- _b -->" in (tmp_path / "a.svg").read_text()
    bars = (tmp_path / "b.svg").read_text()
    for text in ("a$x_y$.jpg", "d/b.jpg", "mean 37.50 %", "average precision of 2 queries"):
        assert f"<!-- {text} -->" in bars
    assert bars.index("d/b.jpg") < bars.index("a$x_y$.jpg")  # the best first


def test_queries_without_a_positive_are_counted_and_have_no_bar(tmp_path):
    draw_query_ap(tmp_path / "b.svg", "t", ["a", "b", "c"], [None, 1.0, float("nan")])
    bars = (tmp_path / "b.svg").read_text()
    assert "<!-- average precision of 1 queries, 2 without a positive left out -->" in bars
    assert "<!-- b -->" in bars
    assert "<!-- a -->" not in bars


def test_many_queries_give_a_picture_of_bounded_size(tmp_path):
    values = np.random.default_rng(0).random(3000)
    draw_query_ap(tmp_path / "a.png", "t", [str(i) for i in range(3000)], values)
    assert cv2.imread(str(tmp_path / "a.png")).shape[0] < 1000
    assert _is_drawn(tmp_path / "a.png", plots._COLORS[0])


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_rows_give_the_same_file(tmp_path, kind):
    for name in "ab":
        draw_precision_recall(tmp_path / f"{name}.{kind}", "t", [_curve()])
        draw_query_ap(tmp_path / f"{name}2.{kind}", "t", ["q"], [0.5])
    for number in ("", "2"):
        first, second = ((tmp_path / f"{n}{number}.{kind}").read_bytes() for n in "ab")
        assert first == second


def test_refuses_what_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match="at least one curve"):
        draw_precision_recall(tmp_path / "a.png", "t", [])
    empty = ("row 1", query_curves([([False], 0)]))
    with pytest.raises(UserError, match="row 1: no query has a positive"):
        draw_precision_recall(tmp_path / "a.png", "t", [_curve(), empty])
    with pytest.raises(UserError, match="title: no query has a positive"):
        draw_query_ap(tmp_path / "a.png", "title", ["a"], [None])
    with pytest.raises(ValueError, match="one number a name"):
        draw_query_ap(tmp_path / "a.png", "t", ["a"], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        draw_query_ap(tmp_path / "a.pdf", "t", ["a"], [0.5])
    assert list(tmp_path.iterdir()) == []


def test_docstring_examples():
    result = doctest.testmod(plots)
    assert result.attempted >= 3
    assert result.failed == 0


def test_names_in_other_scripts_have_a_font_or_a_number(tmp_path, monkeypatch, caplog):
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    files = [folder / f"{name}.ttf" for name in ("DejaVuSans", "STIXGeneral", "STIXGeneralItalic")]
    fonts = [font_manager.ttfFontProperty(font_manager.get_font(file)) for file in files]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    del glyphs.FAMILIES[1:]
    for function in (glyphs._missing, glyphs._say_once):
        function.cache_clear()
    names = ["東京", "a\u1d81", "", "plain", "京都"]
    draw_query_ap(tmp_path / "b.svg", "東 t", names, [0.9, 0.7, 0.5, 0.3, 0.1])
    assert glyphs.FAMILIES == ["DejaVu Sans", "STIXGeneral"]
    drawn = [glyphs.drawable(name, number) for number, name in enumerate(names, 1)]
    assert drawn == ["#1", "a\u1d81", "", "plain", "#5"] and glyphs.drawable("東 t") == "? t"
    assert [record.name for record in caplog.records] == ["darac_tf.reports.glyphs"]
    glyphs._missing.cache_clear()
