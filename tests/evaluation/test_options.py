"""Options of an evaluation: each does what it says, and those that don't fit are refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from darac_tf.describing.sizes import LongSide
from darac_tf.errors import UserError
from darac_tf.evaluation import options
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.options import read_settings, read_task
from darac_tf.whitening import fit_pca_whitening
from tests.data.benchmarks import synthetic
from tests.helpers import write_collection

DEFAULTS = EvalConfig(descriptors=["x+spoc"], batch_pixels=1000)


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
        read(replace(DEFAULTS, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptors": []}, "--descriptors is missing"),
        ({}, "needs --data_dir"),
        ({"dataset": "oxford5k"}, "needs --data_dir"),
        ({"data_dir": "PHOTOS", "orientation": "list"}, "--dataset=holidays"),
        ({"data_dir": "PHOTOS", "rotation_list": "x"}, "--dataset=holidays"),
        ({"data_dir": "PHOTOS", "query_split": "q"}, "no image has split 'q'"),
        (
            {"data_dir": "PHOTOS", "distractors_dir": "nowhere"},
            "--distractors_dir=nowhere is neither",
        ),
        ({"data_dir": "OXFORD", "dataset": "oxford5k", "split": "a"}, "--split is for folder"),
        ({"data_dir": "OXFORD", "dataset": "oxford5k", "orientation": "upright"}, "holidays"),
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


def test_tasks_and_settings(photos, oxford, tmp_path, caplog):
    task = read_task(replace(DEFAULTS, data_dir=photos, distractors_dir=oxford))
    assert task.n_database > len(task.queries) == 16
    cropped, whole = (
        read_task(replace(DEFAULTS, dataset="oxford5k", data_dir=oxford, crop_queries=is_cropped))
        for is_cropped in (True, False)
    )
    assert cropped.images.boxes is not None and whole.images.boxes is None
    fitted = replace(DEFAULTS, whiten_data_dir=photos, whiten_shrinkage="auto")
    settings = read_settings(replace(fitted, resolutions=["32", "0.25..1"]))
    assert [len(sizes) for sizes in settings.resolutions] == [1, 5]
    assert settings.whitening.shrinkage == "auto" and len(settings.whitening.images) == 16
    of_benchmark = replace(DEFAULTS, whiten_dataset="oxford5k", whiten_data_dir=oxford)
    assert len(read_settings(of_benchmark).whitening.images) == cropped.n_database
    fit_pca_whitening(np.random.default_rng(0).normal(size=(9, 3))).save(tmp_path / "w.npz")
    given = replace(DEFAULTS, whitening=str(tmp_path / "w.npz"))
    assert read_settings(given).whitening.loaded.projection.shape == (3, 3)
    read_settings(replace(given, orientation="stored"))
    read_settings(replace(given, dataset="oxford5k"))
    assert caplog.text.count("does not say whether its images were turned upright") == 1
    fitted = {"resolutions": ["32-nearest"]}
    vectors = np.random.default_rng(0).normal(size=(9, 3))
    fit_pca_whitening(vectors, provenance=fitted).save(tmp_path / "w.npz")
    same = read_settings(replace(given, resize="nearest"))
    assert same.resolutions == ((LongSide(299, "nearest"),),)
    with pytest.raises(UserError, match="resized by nearest: give that --resize"):
        read_settings(given)
    with pytest.raises(UserError, match="--whiten_dim fits a whitening"):
        read_settings(replace(given, whiten_dim=2))


def test_files_are_measured_in_the_order_they_are_named(monkeypatch):
    for name in ("load_feature_file", "load_vectors"):
        monkeypatch.setattr(options, name, lambda path: SimpleNamespace(name=path))
    config = replace(DEFAULTS, descriptors=["b.npy", "a.npz", "c.parquet"])
    found = options.read_sources(config, options.Settings())
    assert [source.name for source in found] == config.descriptors
