import doctest
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.reports import compare as module
from darac_tf.reports.compare import compare, paired_bootstrap
from darac_tf.reports.report import Result, write_report


def _result(ap, folder="/data", **changed):
    fields = {
        "descriptor": "DARAC",
        "dimension": 4,
        "resolutions": (299, 0.5),
        "whitening": None,
        "dataset": "Oxford5k",
        "scores": {"mAP (Oxford)": float(np.nanmean(np.array(ap, float)))},
        "per_query": [{"path": f"{folder}/q{i}.jpg", "ap": value} for i, value in enumerate(ap)],
        "protocol": "trapezoid AP, junk skipped",
        "database_size": 5063,
    }
    return Result(**(fields | changed))


@pytest.fixture
def write(tmp_path):
    """Writes results as a report and returns the path of its JSON file."""

    def write(name, *results):
        write_report(tmp_path / name, list(results), {})
        return str(tmp_path / name / "report.json")

    return write


def test_differences_means_signs_and_extremes(write):
    a = write("a", _result([0.5, 0.25, None, 1.0, 0.125]))
    b = write("b", _result([0.75, 0.25, None, 0.875, 0.25], descriptor="B|ack"))
    text = compare(a, b)
    assert f"- A: DARAC, 299+x0.5 ({a}#1)\n- B: B\\|ack, 299+x0.5 ({b}#1)\n" in text
    assert "Oxford5k: trapezoid AP, junk skipped; 5063 database images, 5 queries." in text
    assert "| mAP (Oxford) | 46.88 | 53.12 | +6.25 |" in text
    (row,) = re.findall(r"^\| ap \| 4 \| (.*) \|$", text, re.MULTILINE)
    low, high = paired_bootstrap([0.25, 0.0, -0.125, 0.125])
    assert row == f"+6.25 | {100 * low:+.2f} to {100 * high:+.2f} | 2 | 1 | 1"
    gains, losses = text.split("## Largest gains: ap\n\n")[1].split("\n\n## Largest losses: ap\n\n")
    assert gains.splitlines()[2:] == [
        "| /data/q0.jpg | 50.00 | 75.00 | +25.00 |",
        "| /data/q4.jpg | 12.50 | 25.00 | +12.50 |",
    ]
    assert losses.splitlines()[2:] == ["| /data/q3.jpg | 100.00 | 87.50 | -12.50 |"]
    assert compare(a, b) == text


def test_ten_largest_of_each_are_listed(write):
    rng = np.random.default_rng(0)
    first, second = rng.random(60), rng.random(60)
    text = compare(write("a", _result(first)), write("b", _result(second)))
    change = second - first
    for title, numbers in [("gains", np.argsort(-change)), ("losses", np.argsort(change))]:
        part = text.split(f"## Largest {title}: ap\n\n")[1].split("\n\n")[0]
        listed = [int(number) for number in re.findall(r"/q(\d+)\.jpg", part)]
        assert listed == numbers[:10].tolist()


def test_a_report_does_not_differ_from_itself(write):
    a = write("a", _result([0.5, 0.25, None, 1.0]))
    text = compare(a, a)
    assert "| ap | 3 | +0.00 | +0.00 to +0.00 | 0 | 3 | 0 |" in text
    assert text.count("\n\nNone.") == 2


def test_each_setting_of_a_protocol_is_compared(write):
    def per_query(easy, hard):
        return [
            {"path": f"q{i}", "ap": easy[i], "ap (Easy)": easy[i], "ap (Hard)": hard[i]}
            for i in range(2)
        ]

    a = write("a", _result([0.0], per_query=per_query([0.5, 0.5], [None, None])))
    b = write("b", _result([0.0], per_query=per_query([0.75, 0.5], [None, None])))
    text = compare(a, b)
    assert re.search(r"^\| ap \(Easy\) \| 2 \| \+12\.50 \|", text, re.MULTILINE)
    assert "| ap (Hard) | 0 | - | - | - | - | - |" in text
    assert "| ap |" not in text
    assert text.count("## Largest") == 4


def test_queries_in_another_folder_are_matched_and_it_is_said(write):
    a = write("a", _result([0.5, 0.25], folder="/data/oxford"))
    b = write("b", _result([0.25, 0.5], folder="C"))
    text = compare(a, b)
    assert "- Queries are matched below the folders /data/oxford (A) and C (B).\n" in text
    assert "| q1.jpg | 25.00 | 50.00 | +25.00 |" in text


def test_other_notes_and_skipped_images_are_said(write):
    a = write("a", _result([0.5], notes=("Both.", "Cropped.")))
    skipped = [{"path": "x", "reason": "empty"}]
    b = write("b", _result([0.5], notes=("Both.", "Whole."), skipped=skipped))
    lines = compare(a, b).splitlines()
    assert "- Only A: Cropped." in lines
    assert "- Only B: Whole." in lines
    assert "- Only A: 0 images could not be read, in B 1." in lines
    assert not any("Both." in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": "Paris6k"}, "differ in dataset: 'Oxford5k', 'Paris6k'"),
        ({"protocol": "plain AP"}, "differ in protocol"),
        ({"database_size": 105_134}, "differ in database_size: 5063, 105134"),
        ({"per_query": [{"path": "/data/q0.jpg", "ap (Easy)": 0.5}]}, "settings of the protocol"),
        ({"per_query": [{"path": "/data/q0.jpg", "ap": 0.5}]}, "1 queries are in one of them only"),
        (
            {"per_query": [{"path": f"/data/q{i}.jpg", "ap": 0.5} for i in range(3)]},
            "1 queries are in one of them only",
        ),
        (
            {"per_query": [{"path": f"/data/q{i}.jpg", "ap": (0.5, None)[i]} for i in range(2)]},
            "'/data/q1.jpg' has a positive in one of them only",
        ),
    ],
)
def test_refuses_reports_that_measure_something_else(write, changed, message):
    a = write("a", _result([0.5, 0.25]))
    b = write("b", _result([0.5, 0.25], **changed))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        compare(a, b)
    assert "\n" not in str(caught.value)


def test_takes_two():
    with pytest.raises(UserError, match="--compare takes two reports"):
        compare("a.json")


def test_names_cannot_command_the_terminal_or_add_markup(write):
    name = "\x1b[2J<b>\n# x.jpg"
    evil = [{"path": name, "ap": 1.0}, {"path": "q", "ap": 0.0}]
    mild = [{"path": name, "ap": 0.5}, {"path": "q", "ap": 0.0}]
    a = write("a", _result([0.0], per_query=mild, descriptor=name))
    b = write("b", _result([0.0], per_query=evil, notes=(name,)))
    text = compare(a, b)
    assert "\x1b" not in text
    assert "\n# x" not in text
    assert "<" not in text.replace("\\<", "")


def _oracle(differences, resamples, seed, level):
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        total = 0.0
        for index in generator.integers(len(differences), size=len(differences)):
            total += differences[index]
        means.append(total / len(differences))
    means.sort()
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        position = share * (resamples - 1)
        below = int(position)
        above = min(below + 1, resamples - 1)
        ends.append(means[below] + (position - below) * (means[above] - means[below]))
    return ends


@pytest.mark.parametrize(("resamples", "level"), [(1, 0.95), (37, 0.95), (500, 0.8)])
def test_interval_is_that_of_a_loop_in_blocks_of_any_size(monkeypatch, resamples, level):
    differences = np.random.default_rng(1).normal(size=7)
    expected = _oracle(differences, resamples, 3, level)
    for entries in (1, 20, 1 << 22):
        monkeypatch.setattr(module, "_BLOCK_ENTRIES", entries)
        found = paired_bootstrap(differences, resamples, 3, level)
        assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_interval_lies_between_the_extremes_and_turns_with_the_sign(differences):
    low, high = paired_bootstrap(differences, 200)
    assert min(differences) - 1e-12 <= low <= high <= max(differences) + 1e-12
    turned = paired_bootstrap([-d for d in differences], 200)
    assert turned == pytest.approx((-high, -low), abs=1e-12)


def test_interval_holds_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials = 400
    inside = 0
    for trial in range(trials):
        low, high = paired_bootstrap(rng.normal(0.05, 0.2, 50), 400, seed=trial)
        inside += low <= 0.05 <= high
    assert 0.90 < inside / trials < 0.98


def test_width_is_that_of_the_standard_error():
    low, high = paired_bootstrap(np.linspace(-1, 1, 3000), 2000)
    # The standard error of the mean of a uniform distribution.
    error = np.sqrt(1 / 3 / 3000)
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    "arguments", [([],), ([[0.5]],), ([np.nan],), ([0.5], 0), ([0.5], 10, 0, 1.0)]
)
def test_refuses_what_has_no_interval(arguments):
    with pytest.raises(ValueError, match="Received"):
        paired_bootstrap(*arguments)


def test_docstring_examples():
    result = doctest.testmod(module)
    assert result.attempted >= 1
    assert result.failed == 0


def test_reports_are_json_that_other_programs_may_have_written(write, tmp_path):
    path = write("a", _result([0.5, 0.25]))
    content = json.loads((tmp_path / "a" / "report.json").read_text())
    for name in ("notes", "skipped", "combination", "post_processing", "dimension"):
        del content["results"][0][name]
    (tmp_path / "a" / "report.json").write_text(json.dumps(content))
    assert "| ap | 2 | +0.00 |" in compare(path, path)
