"""Which files of an earlier evaluation go when a new one begins."""

from dataclasses import replace

from darac_tf.reports.report import Result, write_report
from darac_tf.reports.report_files import remove_report


def test_a_report_goes_with_its_rows_and_nothing_else(tmp_path):
    scores = {"scores": {"mAP": 1.0}, "per_query": [{"path": "a", "ap": 1.0}]}
    plain = Result("runs/a+gem", 8, ("32", "x0.5"), None, "photos", **scores, **_SEARCHED)
    write_report(tmp_path, [plain, replace(plain, whitening="PCA on others")], {})
    rows = ["01-a-gem-32-x0.5.html", "01-a-gem-32-x0.5-ap.png", "02-a-gem-32-x0.5-whitened.png"]
    in_use = tmp_path / "02-a-gem-32-x0.5-whitened.npz"
    foreign = ["03-a-gem-32-x0.5.html", "01-holiday.png", "table.md"]
    for name in (*rows, *foreign, in_use.name, "precision-recall-2.png"):
        (tmp_path / name).touch()
    remove_report(tmp_path, str(in_use))
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, in_use.name}
    (tmp_path / "report.json").write_text("[]", encoding="utf-8")  # Another program's.
    remove_report(tmp_path)
    assert (tmp_path / "report.json").exists() and in_use.exists()


_SEARCHED = {"protocol": "plain AP", "database_size": 1}
