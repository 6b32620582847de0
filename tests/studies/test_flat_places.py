"""Pictures in photographs: each where it is to be, and the table of all weights and placements."""

import json

import numpy as np
import pytest

from darac_tf.data.labelled import write_rows
from studies.flat_pictures import Placement, paste
from studies.regional_vectors import VECTORS
from tests.helpers import write_backbone, write_image
from tests.studies.study_runner import run_study


@pytest.mark.parametrize("places", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_a_picture_covers_its_share_where_it_is_placed(places):
    photograph, picture = np.zeros((90, 120, 3), np.uint8), np.full((30, 30, 3), 200, np.uint8)
    placement = Placement((0.25, 0.25), places)
    image = paste(np.random.default_rng(0), photograph, picture, placement)
    covered = np.argwhere(image.sum(axis=2) > 150)
    # Corners move inwards by 12 % of a side at most.
    assert 0.25 * 0.57 < len(covered) / (90 * 120) <= 0.27
    side = np.sqrt(0.25 * 90 * 120)
    middle = [places[0] * (length - side) + side / 2 for length in (90, 120)]
    assert (abs((covered.min(axis=0) + covered.max(axis=0)) / 2 - middle) < 0.12 * side).all()


@pytest.mark.slow
def test_the_table(tmp_path, capsys):
    for name, splits in (
        ("museum", {"index": 4}),
        ("sf_landmarks", {"test": 4}),
        ("buildings", {"": 3}),
    ):
        (tmp_path / name).mkdir()
        rows = [
            (write_image(tmp_path / name / f"{split}{i}.jpg", 60, 80, seed=i), f"{i}", split)
            for split, count in splits.items()
            for i in range(count)
        ]
        write_rows(tmp_path / name / "labels.csv", rows)
    weights = {"objects free 0": [1.0] * VECTORS, "objects free 1": list(range(1, VECTORS + 1))}
    (tmp_path / "weights.json").write_text(json.dumps({"weights": weights}))
    backbone = write_backbone(tmp_path / "small.keras")
    status = run_study(
        "flat_places", f"--data_dir={tmp_path}", f"--backbone={backbone}", "--sizes=64",
        f"--weights={tmp_path}/weights.json", "--drawings=2", f"--out={tmp_path}/out",
    )  # fmt: skip
    assert status == 0
    table = (tmp_path / "out" / "flat_places.md").read_text().splitlines()
    assert table == capsys.readouterr().out.splitlines()
    assert len(table) == 2 + 6 and all("| 64 | objects, free |" in row for row in table[2:])
    drawn = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert drawn == sorted([f"{n}-{d}" for n in range(6) for d in range(2)] + ["vectors"])
