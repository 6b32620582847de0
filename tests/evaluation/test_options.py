"""Options of an evaluation: each does what it says, and those that don't fit are refused."""

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.evaluation.options import compare, read_settings, read_task
from darac_tf.whitening import fit_pca_whitening
from tests.data.benchmarks import synthetic
from tests.helpers import write_collection

DEFAULTS = {
    "descriptors": ["x+spoc"],
    "dataset": "folder",
    "data_dir": None,
    "split": None,
    "query_split": None,
    "crop_queries": True,
    "orientation": "stored",
    "rotation_list": None,
    "distractors_dir": None,
    "resolutions": ["299"],
    "combination": "sum",
    "exponent": None,
    "whitening": None,
    "whiten_dataset": "folder",
    "whiten_data_dir": None,
    "whiten_split": None,
    "whiten_kind": "pca",
    "whiten_dim": None,
    "whiten_shrinkage": "0",
    "whiten_power": 0.5,
    "allow_whiten_on_test": False,
    "seed": 0,
    "top_k": None,
    "expansion": "none",
    "expansion_n": 10,
    "expansion_alpha": 3.0,
    "augmentation_n": 0,
    "rerank": "none",
    "rerank_depth": 100,
    "local_model": None,
    "matching": "global",
    "backbone_weights": None,
    "faiss_index": None,
    "batch_pixels": 1000,
    "cache_dir": None,
    "skip_bad_images": False,
    "scaled_decoding": False,
    "engine": "tensorflow",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(write_collection(tmp_path_factory.mktemp("options") / "photos"))


@pytest.fixture(scope="module")
def oxford(tmp_path_factory):
    return str(synthetic.write_oxford(tmp_path_factory.mktemp("options") / "oxford"))


def refused(read, changes, message, photos, oxford):
    """Checks that options are refused in one line."""
    places = {"PHOTOS": photos, "OXFORD": oxford}
    changes = {k: places.get(v, v) if isinstance(v, str) else v for k, v in changes.items()}
    with pytest.raises(UserError, match=message) as caught:
        read(DEFAULTS | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptors": []}, "--descriptors is missing"),
        ({}, "needs --data_dir"),
        ({"dataset": "oxford5k"}, "needs --data_dir"),
        ({"data_dir": "PHOTOS", "orientation": "exif"}, "--dataset=holidays"),
        ({"data_dir": "PHOTOS", "rotation_list": "x"}, "--dataset=holidays"),
        ({"data_dir": "PHOTOS", "query_split": "q"}, "no image has split 'q'"),
        ({"data_dir": "PHOTOS", "distractors_dir": "nowhere"}, "--distractors_dir: no such folder"),
        ({"data_dir": "OXFORD", "dataset": "oxford5k", "split": "a"}, "--split is for folder"),
        ({"data_dir": "OXFORD", "dataset": "oxford5k", "orientation": "exif"}, "holidays"),
        ({"data_dir": "PHOTOS", "dataset": "oxford5k"}, "gnd_oxford5k"),
    ],
)
def test_data_options_that_do_not_fit(changes, message, photos, oxford):
    refused(read_task, changes, message, photos, oxford)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent": 2.0}, "--exponent is for --combination=gmean"),
        ({"whiten_dim": 4}, "--whiten_dim needs --whiten_data_dir"),
        ({"whitening": "nowhere.npz"}, "nowhere.npz"),
        ({"whiten_data_dir": "PHOTOS", "whiten_shrinkage": "much"}, "--whiten_shrinkage"),
        ({"resolutions": ["299", "big"]}, "'big' is no size"),
        ({"rerank": "local"}, "--rerank=local needs --local_model"),
        ({"local_model": "runs/delf"}, "--local_model is for --rerank=local"),
    ],
)
def test_settings_that_do_not_fit(changes, message, photos, oxford):
    refused(read_settings, changes, message, photos, oxford)


def test_tasks_and_settings(photos, oxford, tmp_path):
    task = read_task(DEFAULTS | {"data_dir": photos, "distractors_dir": oxford})
    assert task.n_database > len(task.queries) == 16
    cropped, whole = (
        read_task(
            DEFAULTS | {"dataset": "oxford5k", "data_dir": oxford, "crop_queries": is_cropped}
        )
        for is_cropped in (True, False)
    )
    assert cropped.images.boxes is not None and whole.images.boxes is None
    settings = read_settings(
        DEFAULTS
        | {"resolutions": ["32", "0.25..1"], "whiten_data_dir": photos, "whiten_shrinkage": "auto"}
    )
    assert [len(sizes) for sizes in settings.resolutions] == [1, 5]
    assert settings.whitening.shrinkage == "auto" and len(settings.whitening.images) == 16
    of_benchmark = {"whiten_dataset": "oxford5k", "whiten_data_dir": oxford}
    assert len(read_settings(DEFAULTS | of_benchmark).whitening.images) == cropped.n_database
    fit_pca_whitening(np.random.default_rng(0).normal(size=(9, 3))).save(tmp_path / "w.npz")
    given = {"whitening": str(tmp_path / "w.npz")}
    assert read_settings(DEFAULTS | given).whitening.loaded.projection.shape == (3, 3)
    with pytest.raises(UserError, match="--whiten_dim fits a whitening"):
        read_settings(DEFAULTS | given | {"whiten_dim": 2})


def test_compare_takes_two():
    with pytest.raises(UserError, match="two reports"):
        compare(["a.json"])
