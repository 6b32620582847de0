"""Labels are moved apart as little as possible, and files are whole."""

import itertools
import json

import numpy as np
import pytest
from matplotlib.text import Text

from darac_tf.reports.figures import DPI, new_figure, save_png
from studies.figures import label_ends, spread, write_study
from tests.studies.study_runner import png_size


def loop_spread(values, gap, step):
    """The best places on a grid of `step`, by trying all."""
    grid = np.arange(-20, 21) * step
    best, cost = None, np.inf
    for places in itertools.product(grid, repeat=len(values)):
        is_apart = all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(places))
        total = sum((place - value) ** 2 for place, value in zip(places, values, strict=True))
        if is_apart and total < cost:
            best, cost = places, total
    return best


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [-1.0, 0.0, 0.25], [0.0, 0.5, 3.0]])
def test_labels_move_as_little_as_possible(values):
    np.testing.assert_allclose(spread(values, 1.0), loop_spread(values, 1.0, 0.25), atol=1e-9)


def test_the_order_of_the_values_is_kept():
    moved = spread([5.0, 1.0, 1.1, 5.0], 0.5)
    np.testing.assert_allclose(moved, [4.75, 0.8, 1.3, 5.25])
    assert spread([], 1.0).shape == (0,)
    with pytest.raises(ValueError, match="Received: -1"):
        spread([1.0], -1)


def test_labels_of_equal_ends_do_not_overlap(tmp_path):
    figure = new_figure(5, 4, "title with $ and \n newline")
    axes = figure.subplots()
    axes.set_ylim(0, 1)
    label_ends(axes, 1, [0.5, 0.5, 0.51], ["a", "b", "$c_"], ["red", "green", "blue"])
    figure.canvas.draw()
    # Of the words alone, without the lines that lead to them.
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 3
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    save_png(figure, tmp_path / "a.png")
    assert png_size(tmp_path / "a.png") == (5 * DPI, 4 * DPI)


def test_three_files_with_numbers_of_numpy_and_no_nan(tmp_path):
    figure = new_figure(2, 2, "")
    results = {"score": np.float32(0.5), "rows": np.arange(2)}
    write_study(tmp_path, "study", figure, "# Page\n", results, {"steps": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "study.json",
        "study.md",
        "study.png",
    ]
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["results"] == {"score": 0.5, "rows": [0, 1]}
    assert content["settings"] == {"steps": 3} and "tensorflow" in content["environment"]
    with pytest.raises(ValueError, match="JSON"):
        write_study(tmp_path / "b", "study", figure, "", [float("nan")], {})
    assert not (tmp_path / "b").exists()
