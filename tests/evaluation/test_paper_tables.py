"""The paper's tables: rows that can be measured are, the others say what is missing."""

import json
from dataclasses import replace

import pytest

from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.options import measure
from darac_tf.evaluation.paper_tables import load_rows, measure_table
from darac_tf.reports.markdown import ABSENT
from darac_tf.training import TrainConfig, train
from tests.data.benchmarks import synthetic
from tests.helpers import write_backbone, write_collection


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    config = TrainConfig(
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=6, images=4)),
        backbone=write_backbone(folder / "small.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=2,
        warmup_steps=1,
    )
    train(config, folder / "runs" / "darac-GL")
    synthetic.write_oxford(folder / "benchmarks" / "oxford5k")
    synthetic.write_holidays(folder / "benchmarks" / "holidays")
    return folder


@pytest.fixture
def options(place):
    return EvalConfig(
        data_dir=str(place / "benchmarks"),
        runs_dir=str(place / "runs"),
        backbone=str(place / "small.keras"),
        batch_pixels=100_000,
        whiten_dim=4,
    )


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_ablation(place, options, tmp_path):
    text = measure_table(replace(options, table="ablation", out=str(tmp_path / "out")))
    header, _, *rows = _cells(text)
    names = ["Oxford (paper)", "Oxford (here)", "Paris (paper)", "Paris (here)"]
    assert header[4:] == [*names, "Holidays (paper)", "Holidays (here)"]
    assert len(rows) == len(load_rows("ablation"))
    assert [row[4] for row in rows] == ["48.7", "75.3", "77.6", "81.4", "82.2", "83.4", "88.2"]
    measured = [row[5] != ABSENT for row in rows]
    assert measured == [True, False, True, True, True, True, False]
    assert rows[0][2] == "small" and rows[2][2] == "photos"
    assert rows[5][3] == "299+540+1020"
    assert "Glob. Avg. (GL) on oxford5k: there is no" in text
    assert "train.py --system=glob_avg --run_dir=" in text and "paris6k" in text
    assert (tmp_path / "out" / "table.md").read_text() == text + "\n"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["results"]) == 10  # 5 rows on 2 sets
    # The same as an evaluation by hand.
    by_hand = replace(
        options,
        descriptors=[str(place / "runs" / "darac-GL")],
        dataset="oxford5k",
        data_dir=str(place / "benchmarks" / "oxford5k"),
        whiten_dim=None,
    )
    (row,) = measure(by_hand)
    assert f"{100 * row.result.scores['mAP (Oxford)']:.2f}" == rows[2][5]


def test_own_images_and_whitening_images(place, options):
    own = replace(
        options,
        table="comparison",
        table_sets=[f"csv:{place / 'runs' / 'darac-GL' / 'train.csv'}"],
        whiten_dataset="oxford5k",
        whiten_data_dir=str(place / "benchmarks" / "oxford5k"),
    )
    text = measure_table(own)
    header, _, *rows = _cells(text)
    assert header[4:] == ["darac-GL"]
    assert [row[0] for row in rows] == ["DELF", "GeM", "DIR", "DARAC", "DARAC"]
    assert float(rows[3][4]) > 0
    assert "DELF (GL) on csv: there is no" in text


def test_nothing_to_measure(options):
    with pytest.raises(UserError, match=r"no row of the table can be measured:\n- DELF"):
        measure_table(replace(options, table="comparison", runs_dir=None))
    with pytest.raises(UserError, match="--table needs --data_dir"):
        measure_table(replace(options, table="ablation", data_dir=None))
