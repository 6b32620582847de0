import json
import os
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.evaluation import report
from darac_tf.evaluation.report import Result, git_revision, markdown_table, write_report


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
    head, table = page.split("\n\n")[1:]
    assert head.splitlines() == [
        "- Oxford5k: trapezoid AP, junk skipped; 5063 database images, 3 queries "
        "(2 without a positive, left out of the means). Scores in %.",
        "- Paris6k: trapezoid AP, junk skipped; 6392 database images, 1 queries. Scores in %.",
    ]
    assert table == markdown_table([_result(), _result(descriptor="SPoC"), paris]) + "\n"


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


def test_environment_says_what_ran():
    found = report.environment()
    assert found["tensorflow"] == tf.__version__
    assert found["keras"] == keras.__version__
    assert found["numpy"] == np.__version__
    assert found["python"].startswith("3.")
    assert found["cpu_count"] == os.cpu_count()
    assert set(found) >= {"platform", "darac_git_revision"}


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


def test_revision_is_none_outside_a_checkout_and_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    assert git_revision(tmp_path / "absent") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tmp_path) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_revision_is_that_of_the_own_checkout_only(tmp_path, monkeypatch):
    # In a git hook these name the project's own repository, which must stay untouched.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "package"
    vendored = package / "other" / "package"
    vendored.mkdir(parents=True)
    git("init", "--quiet")
    assert git_revision(package) is None  # no commit yet
    git("commit", "--quiet", "--allow-empty", "--no-verify", "--message", "first")
    assert git_revision(package) == git("rev-parse", "HEAD")
    assert git_revision(vendored) is None
