"""Recall@K by loss and embedding size: the splits of each layout, plain loops, one command."""

import dataclasses
import json

import numpy as np
import pytest

from darac_tf.data.training_sets import TRAINING_SETS
from darac_tf.errors import UserError
from studies import heads
from studies.class_splits import read_split
from studies.head_scores import recalls
from tests.data.training_sets.test_training_set_readers import write_cars, write_cub, write_products
from tests.helpers import write_backbone, write_collection
from tests.studies.study_runner import first_directions, run_study

# Writer of a small set; its images and classes; the classes that train.
LAYOUTS = {
    "cub200": (write_cub, 8, 4, ("001", "002")),
    "cars196": (write_cars, 8, 4, ("001", "002")),
    "products": (write_products, 3, 2, ("00001",)),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_standard_splits_of_complete_sets_only(tmp_path, monkeypatch, kind):
    write, images, classes, first = LAYOUTS[kind]
    folder = write(tmp_path / "set")
    facts = TRAINING_SETS[kind]
    with pytest.raises(UserError, match=f"{images} images of {classes} classes, and {kind} has"):
        read_split(kind, folder)
    counts = dataclasses.replace(facts, images=images, classes=classes)
    monkeypatch.setitem(TRAINING_SETS, kind, counts)
    training, testing = read_split(kind, folder)
    assert training.class_names == first and not set(first) & set(testing.class_names)
    assert len(training) + len(testing) == images
    with pytest.raises(UserError, match="a split of its own"):
        read_split(kind, folder, train_classes=2)


def test_recalls_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 4)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = random.integers(0, 6, 30)
    labels[0] = 99  # alone in its class
    expected = []
    for k in (1, 3, 10):
        hits = []
        for i in range(1, 30):
            nearest = sorted((j for j in range(30) if j != i), key=lambda j: -float(x[i] @ x[j]))
            if sum(labels == labels[i]) > 1:
                hits.append(any(labels[j] == labels[i] for j in nearest[:k]))
        expected.append(np.mean(hits))
    np.testing.assert_allclose(recalls(x, labels, [1, 3, 10]), expected)


@pytest.mark.slow
def test_from_images_to_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(heads, "train_heads", first_directions)
    flags = [
        f"--data_dir={write_collection(tmp_path / 'photos', classes=7, images=4)}",
        f"--backbone={write_backbone(tmp_path / 'small.keras')}",
        *("--train_classes=5", "--image_size=32", "--input_dim=6", "--dims=2,4"),
        *("--losses=triplet", "--steps=2", "--seeds=2", "--images_per_class=2"),
        f"--cache_dir={tmp_path / 'cache'}",
    ]
    frozen = [*flags, f"--out={tmp_path / 'frozen'}"]
    assert "four must train" in run_study("metric_learning", *frozen, "--train_classes=6")
    assert "rising" in run_study("metric_learning", *frozen, "--cutoffs=2,1")
    assert run_study("metric_learning", *frozen) == 0
    page = capsys.readouterr().out
    assert "20 images of 5 classes train, 8 of 2 test" in page
    assert page.count("| PCA |") == page.count("| triplet |") == 2
    facts = json.loads((tmp_path / "frozen" / "metric_learning.json").read_text())
    assert np.shape(facts["scores"][1]["scores"]) == (2, 4) and facts["scores"][1]["dim"] == 4
    assert run_study("metric_learning", *frozen) == 0
    assert capsys.readouterr().out == page
    assert "other settings" in run_study("metric_learning", *frozen, "--steps=3")
    tuned = [*flags, "--dims=2", "--network_steps=2", f"--out={tmp_path / 'tuned'}"]
    assert run_study("metric_learning", *tuned) == 0
    assert "| PCA |" not in capsys.readouterr().out
    assert (tmp_path / "tuned" / "runs" / "triplet" / "last.keras").exists()
