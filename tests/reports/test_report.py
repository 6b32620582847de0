import doctest
import json
import os
from pathlib import Path

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.reports import report
from darac_tf.reports.environment import environment
from darac_tf.reports.report import Result, ap_settings, markdown_table, write_report


def _result(**changed):
    fields = {
        "descriptor": "DARAC",
        "dimension": 2048,
        "resolutions": (299, 540, 1020),
        "whitening": "Paris6k",
        "dataset": "Oxford5k",
        "scores": {"mAP": 0.83397, "P@1": 1.0},
        "per_query": [
            {"path": "a.jpg", "ap": 0.9},
            {"path": "b.jpg", "ap": float("nan")},
            {"path": "c.jpg", "ap": None},
        ],
        "protocol": "trapezoid AP, junk skipped",
        "database_size": 5063,
    }
    return Result(**(fields | changed))


def _strictly(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_table_has_a_row_for_each_result_and_percents():
    other = _result(
        descriptor="SPoC", dimension=4, resolutions=(299,), whitening=None, scores={"R@1": 0.5}
    )
    assert markdown_table([_result(), other]).splitlines() == [
        "| Descriptor | Dim. | Resolutions | Whitening | Data set | mAP | P@1 | R@1 |",
        "| --- | ---: | --- | --- | --- | ---: | ---: | ---: |",
        "| DARAC | 2048 | 299+540+1020 | Paris6k | Oxford5k | 83.40 | 100.00 | - |",
        "| SPoC | 4 | 299 | - | Oxford5k | - | - | 50.00 |",
    ]


def test_table_shows_a_dash_for_nan_and_keeps_bars_inside_cells():
    row = markdown_table([_result(dataset="a|b\nc", scores={"mAP": np.float64("nan")})])
    assert row.splitlines()[-1] == "| DARAC | 2048 | 299+540+1020 | Paris6k | a\\|b c | - |"


def test_page_names_protocol_data_set_and_counts_once(tmp_path):
    paris = _result(dataset="Paris6k", database_size=6392, per_query=[{"path": "x", "ap": 1.0}])
    write_report(tmp_path / "run", [_result(), _result(descriptor="SPoC"), paris], {})
    page = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    head, table, versions, _ = page.split("\n\n")[1:]
    assert head.splitlines() == [
        "- Oxford5k: trapezoid AP, junk skipped; 5063 database images, 3 queries "
        "(2 without a positive, left out of the means). Scores in %.",
        "- Paris6k: trapezoid AP, junk skipped; 6392 database images, 1 queries. Scores in %.",
    ]
    assert table == markdown_table([_result(), _result(descriptor="SPoC"), paris])
    assert versions == "## Environment"


def test_json_is_strict_and_complete(tmp_path):
    settings = {
        "weights": Path("runs") / "w.keras",
        "sizes": (299, np.int64(540)),
        "rates": np.array([0.5, np.inf]),
        "loss": float("nan"),
        "nested": {3: {"flag": np.bool_(True)}},
        "unset": None,
    }
    write_report(tmp_path, [_result()], settings)
    content = _strictly((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["settings"] == {
        "weights": str(Path("runs") / "w.keras"),
        "sizes": [299, 540],
        "rates": [0.5, None],
        "loss": None,
        "nested": {"3": {"flag": True}},
        "unset": None,
    }
    (row,) = content["results"]
    assert row["scores"] == {"mAP": 0.83397, "P@1": 1.0}
    assert row["resolutions"] == [299, 540, 1020]
    assert row["database_size"] == 5063
    assert row["per_query"] == [
        {"path": "a.jpg", "ap": 0.9},
        {"path": "b.jpg", "ap": None},
        {"path": "c.jpg", "ap": None},
    ]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_names_that_are_not_utf8_are_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    query = {"path": name, "ap": 1.0}
    write_report(tmp_path, [_result(dataset=name, per_query=[query])], {})
    content = _strictly((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["results"][0]["per_query"] == [query]
    assert "caf\\udce9.jpg" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_setting_that_is_not_json_leaves_the_old_report(tmp_path):
    write_report(tmp_path, [_result()], {"run": 1})
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_report(tmp_path, [_result(descriptor="new")], {"model": object()})
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_a_later_report_replaces_the_first(tmp_path):
    write_report(tmp_path, [_result()], {"run": 1})
    write_report(tmp_path, [_result(descriptor="new")], {"run": 2})
    assert json.loads((tmp_path / "report.json").read_text())["settings"] == {"run": 2}
    assert "| new |" in (tmp_path / "report.md").read_text()


def test_refuses_no_results_and_a_folder_that_is_a_file(tmp_path):
    with pytest.raises(ValueError, match="at least one result"):
        write_report(tmp_path / "run", [], {})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't create the folder"):
        write_report(tmp_path / "file", [_result()], {})


def test_columns_for_combination_and_post_processing_appear_when_used():
    plain = _result(scores={"mAP (Oxford)": 0.5}, resolutions=("as stored",))
    expanded = _result(
        scores={"mAP (Oxford)": 0.5},
        resolutions=(299, 0.5, 1.0, np.float64(1.41)),
        post_processing="alpha-QE",
        combination="mean",
    )
    assert markdown_table([plain, expanded]).splitlines() == [
        "| Descriptor | Dim. | Resolutions | Combined by | Whitening | Post-processing | Data set "
        "| mAP (Oxford) |",
        "| --- | ---: | --- | --- | --- | --- | --- | ---: |",
        "| DARAC | 2048 | as stored | - | Paris6k | - | Oxford5k | 50.00 |",
        "| DARAC | 2048 | 299+x0.5+x1+x1.41 | mean | Paris6k | alpha-QE | Oxford5k | 50.00 |",
    ]


def test_page_counts_queries_without_a_positive_in_each_setting(tmp_path):
    per_query = [
        {"path": "a", "ap (Easy)": None, "ap (Hard)": 0.5},
        {"path": "b", "ap (Easy)": float("nan"), "ap (Hard)": None},
    ]
    write_report(tmp_path, [_result(per_query=per_query)], {})
    page = (tmp_path / "report.md").read_text()
    assert "2 queries (Easy: 2, Hard: 1 without a positive, left out of the means)." in page


def test_ap_stands_for_a_setting_where_there_are_several():
    assert ap_settings([{"path": "a", "ap": 1.0, "ap (Easy)": 1.0}]) == ["ap (Easy)"]
    assert ap_settings([{"path": "a", "ap": 1.0, "apple": 2}]) == ["ap"]
    assert ap_settings([{"path": "a"}]) == []


def test_page_states_notes_settings_and_environment_once(tmp_path):
    noted = _result(notes=("Queries are cropped.", "Whitening | fitted on the test set."))
    write_report(tmp_path, [noted, noted], {"dataset": "oxford5k", "k": 5, "unset": None})
    page = (tmp_path / "report.md").read_text()
    notes = "- Oxford5k: Queries are cropped.\n- Oxford5k: Whitening \\| fitted on the test set.\n"
    assert f"## Notes\n\n{notes}\n" in page
    assert page.endswith("## Settings\n\n- dataset: oxford5k\n- k: 5\n")
    for name, value in environment().items():
        assert value is None or f"\n- {name}: " in page
    content = _strictly((tmp_path / "report.json").read_text())
    assert content["environment"] == environment()
    assert content["results"][0]["notes"] == list(noted.notes)


def test_skipped_images_are_all_in_the_json_and_counted_on_the_page(tmp_path):
    skipped = [{"path": f"{i:03d}.jpg", "reason": "empty (0 bytes)"} for i in range(60)]
    write_report(tmp_path, [_result(skipped=skipped)], {})
    page = (tmp_path / "report.md").read_text()
    assert "Left out and ranked last: 60." in page
    assert page.count("empty (0 bytes)") == 50
    assert "- and 10 more, named in report.json\n" in page
    (row,) = _strictly((tmp_path / "report.json").read_text())["results"]
    assert row["skipped"] == skipped


def test_names_are_no_markup_on_the_page(tmp_path):
    name = "<script>a</script>\n# b | ![c](http://d) `e`\x1b[2J.jpg"
    skipped = [{"path": name, "reason": name}]
    write_report(tmp_path, [_result(dataset=name, notes=(name,), skipped=skipped)], {"n": name})
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    shown = "\\<script>a\\</script> # b \\| ![c\\](http://d) \\`e\\`\\x1b[2J.jpg"
    # Data set line, cell, note and its data set, skipped image (three times), setting.
    assert page.count(shown) == 8
    assert "<script>" not in page.replace("\\<", "")
    assert "\x1b" not in page


def test_docstring_examples():
    result = doctest.testmod(report)
    assert result.attempted >= 2
    assert result.failed == 0
