"""The sweep of losses: what is chosen is chosen on one half, and a second run trains nothing."""

import json

import numpy as np
import pytest

from studies import heads
from studies.loss_table import (
    choose,
    difference,
    is_settled,
    mean_of_subsets,
    seeds_interval,
)
from tests.helpers import write_backbone, write_collection
from tests.studies.study_runner import first_directions, run_study

CHOOSING = np.array([True, True, False, False])


def _aps(values):
    """APs `(rates, seeds, points, images)` from `(rates, points)` pairs for the two halves."""
    halves = np.repeat(np.asarray(values, float), 2, axis=-1)
    return np.repeat(halves[:, np.newaxis], 3, axis=1)


def test_one_half_chooses_and_the_other_scores():
    weak = _aps([[[0.3, 0.9], [0.4, 0.9]]] * 2)
    good = _aps([[[0.5, 0.2], [0.6, 0.3]], [[0.7, 0.1], [0.2, 0.8]]])
    chosen = choose([weak, weak, good], CHOOSING)
    assert (chosen.option, chosen.rate, chosen.point) == (2, 1, 0)
    np.testing.assert_array_equal(chosen.reported, np.full((3, 2), 0.1))
    late = choose([weak, good], CHOOSING, point=1)
    assert (late.option, late.rate, late.point) == (1, 0, 1)
    # Pairs of three options: the good one wins two of them with a score of 0.1, a weak one has 0.9.
    assert mean_of_subsets([weak, weak, good], CHOOSING, 2) == pytest.approx((0.1 + 0.1 + 0.9) / 3)


def test_a_difference_needs_both_intervals():
    random = np.random.default_rng(0)
    base = random.uniform(size=(5, 60))
    mean, over_images, over_seeds = difference(base + 0.1, base)
    assert mean == pytest.approx(0.1) and is_settled(mean, over_images, over_seeds)
    np.testing.assert_allclose([*over_images, over_seeds], [0.1, 0.1, 0], atol=1e-12)
    by_seed = base + np.array([0.5, -0.3, 0.4, -0.2, 0.2])[:, np.newaxis]
    assert not is_settled(*difference(by_seed, base))
    # t of 4 degrees of freedom at 97.5 % is 2.776.
    values = np.array([1.0, 2, 3, 4, 5])
    assert seeds_interval(values) == pytest.approx(2.776 * np.sqrt(2.5) / np.sqrt(5), rel=1e-3)


@pytest.mark.slow
def test_from_images_to_tables(tmp_path, capsys, monkeypatch):
    flags = [
        f"--data_dir={write_collection(tmp_path / 'photos', classes=8, images=4)}",
        f"--backbone={write_backbone(tmp_path / 'small.keras')}",
        *("--held_out_classes=4", "--image_size=32", "--input_dim=6", "--dim=3"),
        *("--losses=nra,contrastive", "--steps=1,2", "--seeds=2", "--batch=2x2"),
        *("--batches=3x4", "--batch_steps=2", f"--out={tmp_path / 'out'}"),
    ]
    assert "name nra and some of" in run_study("loss_sweep", *flags, "--losses=triplet")
    assert "must be rising" in run_study("loss_sweep", *flags, "--steps=2,1")
    monkeypatch.setattr(heads, "train_heads", first_directions)
    assert run_study("loss_sweep", *flags) == 0
    page = capsys.readouterr().out
    assert page.count("| contrastive |") == 5 and page.count("## The halves swapped") == 1
    assert "| minmax, power, without gradient |" in page
    facts = json.loads((tmp_path / "out" / "loss_sweep.json").read_text())
    means = facts["means on the reporting half, by seed"]
    assert np.shape(means["contrastive"]["margin 1"]) == (4, 2, 2)
    monkeypatch.setattr(heads, "train_heads", None)  # nothing is trained again
    assert run_study("loss_sweep", *flags) == 0
    assert capsys.readouterr().out == page
    other = run_study("loss_sweep", *flags, "--dim=2")
    assert "is of other settings" in other and "\n" not in other
