"""Every loss in a whole run: class weights learn and are resumed, mined tuples are kept."""

import dataclasses

import keras
import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.losses import LOSSES
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import start_run_dir, train, training_images
from tests.helpers import write_backbone, write_collection
from tests.training.cut_runs import during, interrupt


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=6, images=4)),
        backbone=write_backbone(folder / "small.keras"),
        pooling="gem",
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=4,
        warmup_steps=1,
        checkpoint_every=2,
        mining_queries=6,
        mining_pool=12,
        tuples_per_batch=2,
        tuple_negatives=2,
    )


MINED = {"loss": "contrastive", "mining": "hard_negatives", "steps": 5}


@pytest.fixture(scope="module")
def mined(config, tmp_path_factory, eagerly_in_module):
    """A run on mined tuples: its config, its `RunResult` and its directory."""
    config = dataclasses.replace(config, **MINED)
    run_dir = tmp_path_factory.mktemp("mined") / "run"
    return config, train(config, run_dir), run_dir


@pytest.mark.slow
@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "nra"])
def test_every_loss_trains(config, loss, tmp_path):
    result = train(dataclasses.replace(config, loss=loss), tmp_path / "run")
    assert result.steps == 4 and np.isfinite(result.losses).all() and result.traces == 1


def check_resumed(config, whole, whole_dir, cut, kept, folder):
    """A run that is cut off after some steps goes on as the whole one from those it kept."""
    with pytest.MonkeyPatch.context() as patch:
        during(patch, cut + 1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, folder / "cut")
    resumed = train(config, folder / "cut", resume=True)
    np.testing.assert_allclose(resumed.losses, whole.losses[kept:], rtol=1e-4)
    models = [keras.models.load_model(run / "last.keras") for run in (folder / "cut", whole_dir)]
    for found, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_class_weights_train_and_are_resumed(config, tmp_path):
    changes = {"steps": 2, "warmup_steps": 0, "checkpoint_every": 1}
    config = dataclasses.replace(config, loss="softmax", **changes)
    whole = train(config, tmp_path / "whole")
    assert whole.steps == 2 and np.isfinite(whole.losses).all()
    check_resumed(config, whole, tmp_path / "whole", 1, 1, tmp_path)


@pytest.mark.parametrize(
    ("cut", "kept"),
    [(4, 4), pytest.param(3, 2, marks=pytest.mark.slow)],
    ids=["second epoch", "first epoch"],
)
def test_mined_tuples_are_resumed(mined, cut, kept, tmp_path):
    check_resumed(*mined, cut, kept, tmp_path)


def test_tuples_are_mined_once_an_epoch_and_damaged_ones_refused(mined, tmp_path):
    config, _, run_dir = mined
    files = sorted((run_dir / "mined").iterdir())
    # 6 queries in batches of 2: epochs of 3 steps, and 5 steps.
    assert [file.name for file in files] == ["000000.npy", "000001.npy"]
    tables = [np.load(file) for file in files]
    assert {table.shape for table in tables} == {(6, 4)} and (tables[0] != tables[1]).any()
    start_run_dir(tmp_path / "again", config, *training_images(config))
    (tmp_path / "again" / "mined").mkdir()
    (tmp_path / "again" / "mined" / "000000.npy").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"000000.npy: is damaged; remove it"):
        train(config, tmp_path / "again", resume=True)


@pytest.mark.usefixtures("eagerly")
def test_whitened_rmac_starts_as_the_pca_of_its_regions(config, tmp_path):
    rates = {"learning_rate": 1e-9, "head_learning_rate": 1e-9}
    changes = {"pooling": "rmac_whitened", "loss": "triplet", "steps": 1, "warmup_steps": 0}
    config = dataclasses.replace(config, **rates, **changes)
    train(config, tmp_path / "run")
    pooling = keras.models.load_model(tmp_path / "run" / "last.keras").get_layer("pooling")
    kernel = pooling.kernel.numpy()
    # Rows of a PCA whitening are orthogonal, and not of unit length.
    products = kernel.T @ kernel
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-3 * np.abs(products).max()
    assert not np.allclose(products, np.eye(len(products)), atol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinge"}, "--loss=hinge: choose from nra"),
        ({"mining": "soft"}, "--mining=soft: choose from none, hard_negatives"),
        ({"mining_queries": 1}, "--mining_queries=1: must be at least --tuples_per_batch"),
        ({"layer": "conv9"}, "--layer: .* has no layer 'conv9'; its last ones are .*conv2d"),
        ({"loss": "smooth_ap", "margin": 0.2}, "--margin=0.2: --loss=smooth_ap has none"),
    ],
)
def test_settings_that_do_not_fit(config, changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(config, **changes), tmp_path / "run")
