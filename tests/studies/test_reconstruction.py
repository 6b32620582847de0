"""Sweeps: every variant is a setting, runs are kept, and the table has the right differences."""

import dataclasses
import json

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.training import TrainConfig
from studies import sweep as sweep_module
from studies.sweep import TestSet, Variant, base_config, comparison_table, hold_out, sweep
from studies.variants import GROUPS
from tests.helpers import write_backbone, write_collection
from tests.studies.study_runner import run_study


def test_variants_are_settings_with_names_of_their_own():
    variants = {v.name: v for group in GROUPS.values() for v in group}
    assert len({v.note for v in variants.values()}) == len(variants)
    settings = [dataclasses.replace(TrainConfig(), **v.settings) for v in variants.values()]
    assert len({str(each) for each in settings}) == len(variants)


def test_table_has_means_deviations_and_paired_differences():
    variants = [Variant("base", {}), Variant("other", {}, "all")]
    scores = {
        "base": np.array([[0.5], [0.6], [0.7]]),
        "other": np.array([[0.52], [0.61], [0.73]]),
    }
    table = comparison_table(variants, scores, [TestSet("t", None, 32)], {"t": 0.25})
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0][2:] == ["t", "± (seeds)", "against base", "± (paired)"]
    assert lines[2][2] == "25.00"
    assert lines[3][2:4] == ["60.00", "10.00"]
    # Differences 2, 1, 3: mean 2, deviation 1.
    assert lines[4][2:] == ["62.00", "10.54", "+2.00", "1.00"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reconstruction")
    write_collection(folder / "photos", classes=7, images=4)
    write_backbone(folder / "small.keras")
    return folder


def test_runs_are_kept_and_others_refused(place, tmp_path, monkeypatch):
    base = base_config(
        dataset="folder",
        data_dir=str(place / "photos"),
        backbone=str(place / "small.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=2,
        warmup_steps=1,
    )
    config, unseen = hold_out(base, 3, tmp_path)
    assert len(unseen.class_names) == 3
    variants = [Variant("base", {"rank": "gaussian"}), Variant("soft", {"rank": "soft"})]
    tests = [TestSet("unseen", unseen, 32)]
    scores = sweep(variants, [1], config, tests, tmp_path)
    assert {k: v.shape for k, v in scores.items()} == {"base": (1, 1), "soft": (1, 1)}
    stored = json.loads((tmp_path / "scores" / "soft-1.json").read_text())
    assert stored["settings"]["rank"] == "soft" and stored["settings"]["seed"] == 1
    monkeypatch.setattr(sweep_module, "train", None)  # nothing is trained again
    again = sweep(variants, [1], config, tests, tmp_path)
    np.testing.assert_array_equal(again["soft"], scores["soft"])
    with pytest.raises(UserError, match=r"base-1\.json is of other settings"):
        sweep(variants, [1], dataclasses.replace(config, steps=3), tests, tmp_path)


def test_from_images_to_a_table(place, tmp_path, capsys):
    flags = [
        f"--data_dir={place / 'photos'}",
        f"--backbone={place / 'small.keras'}",
        "--held_out_classes=3",
        "--image_size=32",
        "--classes_per_batch=3",
        "--images_per_class=2",
        "--steps=21",
        "--seeds=1",
        "--studies=triplet",
        f"--out={tmp_path}",
    ]
    assert run_study("reconstruction", *flags) == 0
    assert "| triplet | triplet, hardest of the batch |" in capsys.readouterr().out
    facts = json.loads((tmp_path / "table.json").read_text())
    assert set(facts["scores"]) == {"base", "triplet"} and facts["environment"]["tensorflow"]
    assert run_study("reconstruction", *flags, "--studies=x") == (
        "error: --studies: 'x' is unknown; choose from base, ranks, weights, reconstruction, "
        + ", ".join(
            list(dict.fromkeys([*GROUPS, *(v.name for g in GROUPS.values() for v in g)]))[4:]
        )
    )
