"""Sweeps: every variant is a setting, runs are kept, and the table has the right differences."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from darac_tf.training.config import TrainConfig
from studies import sweep as sweep_module
from studies.sweep import TestSet, Variant, base_config, comparison_table, sweep
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


@pytest.mark.slow
def test_every_variant_is_trained_with_its_settings_and_each_seed(tmp_path, monkeypatch):
    trained = []

    def train(config, run_dir):
        trained.append(config)
        (run_dir / "checkpoints").mkdir(parents=True)
        return SimpleNamespace(losses=np.array([0.5]))

    monkeypatch.setattr(sweep_module, "train", train)
    monkeypatch.setattr(sweep_module, "load_descriptor", lambda path: path.parent.name)
    monkeypatch.setattr(
        sweep_module, "measure", lambda name, config, tests: {"t": 0.1 if "base" in name else 0.2}
    )
    variants = [Variant("base", {"rank": "gaussian"}), Variant("soft", {"rank": "soft"})]
    config, tests = base_config(steps=30), [TestSet("t", None, 32)]
    scores = sweep(variants, [1, 4], config, tests, tmp_path)
    assert [(each.rank, each.seed, each.steps) for each in trained] == [
        ("gaussian", 1, 30),
        ("gaussian", 4, 30),
        ("soft", 1, 30),
        ("soft", 4, 30),
    ]
    assert {name: values.tolist() for name, values in scores.items()} == {
        "base": [[0.1], [0.1]],
        "soft": [[0.2], [0.2]],
    }
    stored = json.loads((tmp_path / "scores" / "soft-1.json").read_text())
    assert stored["settings"]["rank"] == "soft" and stored["settings"]["seed"] == 1
    again = sweep(variants, [1, 4], config, tests, tmp_path)
    assert len(trained) == 4 and again["soft"].tolist() == scores["soft"].tolist()


@pytest.mark.slow
def test_from_images_to_a_table(tmp_path, capsys, monkeypatch):
    flags = [
        f"--data_dir={write_collection(tmp_path / 'photos', classes=7, images=4)}",
        f"--backbone={write_backbone(tmp_path / 'small.keras')}",
        "--held_out_classes=3",
        "--image_size=32",
        "--classes_per_batch=3",
        "--images_per_class=2",
        "--steps=21",
        "--seeds=1",
        "--studies=triplet",
        f"--out={tmp_path / 'out'}",
    ]
    assert run_study("reconstruction", *flags) == 0
    table = capsys.readouterr().out
    assert "| triplet | triplet, hardest of the batch |" in table
    facts = json.loads((tmp_path / "out" / "table.json").read_text())
    assert set(facts["scores"]) == {"base", "triplet"} and facts["environment"]["tensorflow"]
    listed = (tmp_path / "out" / "train.csv").read_text().split()[1:]
    assert len(listed) == 16  # of the 4 classes that are not held out
    monkeypatch.setattr(sweep_module, "train", None)  # nothing is trained again
    assert run_study("reconstruction", *flags) == 0
    assert capsys.readouterr().out.endswith(table[table.index("| variant") :])
    other = run_study("reconstruction", *flags, "--steps=22")
    assert "base-0.json is of other settings" in other and "\n" not in other
    assert run_study("reconstruction", *flags, "--studies=x") == (
        "error: --studies: 'x' is unknown; choose from base, ranks, weights, reconstruction, "
        + ", ".join(
            list(dict.fromkeys([*GROUPS, *(v.name for g in GROUPS.values() for v in g)]))[4:]
        )
    )
