"""Whole runs on a small network: files, learning, exact resume, and what is refused."""

import dataclasses
import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data import augmentation
from darac_tf.data.images import decode_window
from darac_tf.data.labelled import read_csv, read_folder
from darac_tf.errors import UserError
from darac_tf.files import only_writer
from darac_tf.models import load_descriptor
from darac_tf.training.config import TrainConfig
from darac_tf.training.local_features import train_local_features
from darac_tf.training.run import LOCK, start_run_dir, train, training_images
from tests.helpers import write_backbone, write_collection
from tests.training.cut_runs import during, interrupt


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=8, images=4)),
        val_classes=3,
        backbone=write_backbone(folder / "small.keras"),
        pooling="gem",
        image_size=32,
        classes_per_batch=3,
        images_per_class=3,
        steps=6,
        warmup_steps=2,
        learning_rate=1e-3,
        val_every=3,
        checkpoint_every=2,
        batch_norm="train",
    )


def _weights(path):
    return keras.models.load_model(path).get_weights()


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A run that was left alone: its `RunResult` and its directory."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    return train(config, run_dir), run_dir


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of its directory."""
    return shutil.copytree(whole[1], tmp_path / "run")


def test_a_run_writes_what_it_promises(config, whole):
    result, run_dir = whole
    assert result.traces == 1 and result.steps == 6 and len(result.losses) == 6
    assert np.isfinite(result.losses).all() and 0 < result.best <= 1
    assert json.loads((run_dir / "config.json").read_text()) == dataclasses.asdict(config)
    training, held_out = read_csv(run_dir / "train.csv"), read_csv(run_dir / "val.csv")
    assert len(training) == 20 and len(held_out) == 12
    assert not set(training.class_names) & set(held_out.class_names)
    assert load_descriptor(run_dir).output_shape == (None, 16)
    assert (run_dir / "last.keras").exists()
    events = list((run_dir / "tensorboard").glob("events*"))
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events[0]))
        for value in event.summary.value
    }
    assert {"train/loss", "train/learning_rate", "validation/mAP (plain)"} <= tags


@pytest.mark.slow
def test_crops_of_other_shapes_cost_one_trace_each_and_resume(
    config, tmp_path, monkeypatch, request
):
    changes = {"crop_shapes": "2:1,1:2,2:1", "steps": 3, "val_classes": 0}
    config = dataclasses.replace(config, **changes, batch_norm="frozen")
    whole = train(dataclasses.replace(config, chunk_size=3), tmp_path / "whole")
    assert whole.traces == 2 and np.isfinite(whole.losses).all()
    request.getfixturevalue("eagerly")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        during(patch, 3, interrupt)
        train(config, tmp_path / "cut")
    with pytest.raises(UserError, match="has --crop_shapes=2:1,1:2,2:1, not None"):
        train(dataclasses.replace(config, crop_shapes=None), tmp_path / "cut", resume=True)
    rest = train(config, tmp_path / "cut", resume=True)
    np.testing.assert_allclose(rest.losses, whole.losses[2:], rtol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_a_resumed_run_equals_an_uninterrupted_one(config, tmp_path, monkeypatch):
    # Step by step, too: a graph rounds otherwise, and Adam makes steps of a bias's gradient that is
    # nothing but rounding.
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        during(patch, 6, interrupt)
        train(config, tmp_path / "cut")
    resumed = train(config, tmp_path / "cut", resume=True)
    # The last checkpoint was after step 4, so that steps 5 and 6 were made again.
    np.testing.assert_allclose(resumed.losses, whole.losses[4:], rtol=1e-5)
    assert resumed.best == pytest.approx(whole.best)
    cut, uncut = (_weights(tmp_path / run / "last.keras") for run in ("cut", "whole"))
    for found, expected in zip(cut, uncut, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_a_run_cut_before_its_first_checkpoint_resumes_at_its_first_step(config, whole, tmp_path):
    config = dataclasses.replace(config, steps=3)  # The rate goes up as it does in the whole run.
    start_run_dir(tmp_path / "run", config, *training_images(config))
    losses = train(config, tmp_path / "run", resume=True).losses
    np.testing.assert_allclose(losses, whole[0].losses[:3], rtol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_the_seed_decides(config, whole, tmp_path):
    other = dataclasses.replace(config, seed=1, steps=1, warmup_steps=0)
    (loss,) = train(other, tmp_path / "other").losses
    assert abs(loss - whole[0].losses[0]) > 1e-3


def test_resuming_a_finished_run_changes_nothing_but_writes_what_is_missing(config, copied):
    before, best = _weights(copied / "last.keras"), (copied / "best.keras").read_bytes()
    (copied / "last.keras").unlink()  # killed before it was there
    result = train(config, copied, resume=True)
    assert result.steps == 6 and not len(result.losses)
    for found, expected in zip(_weights(copied / "last.keras"), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (copied / "best.keras").read_bytes() == best


@pytest.mark.usefixtures("eagerly")
def test_a_resumed_run_keeps_its_images_whatever_the_folder_has_now(config, tmp_path, caplog):
    photos, run = shutil.copytree(config.data_dir, tmp_path / "photos"), tmp_path / "run"
    config = dataclasses.replace(config, data_dir=str(photos))
    before = training_images(config)
    start_run_dir(run, config, *before)
    assert training_images(config, run)[0].name == "photos:train" and not caplog.records
    shutil.copytree(photos / "class_0", photos / "aaa")
    assert training_images(config)[1].class_names != before[1].class_names
    for found, expected in zip(training_images(config, run), before, strict=True):
        assert found.rows() == expected.rows() and found.name == expected.name
    (line,) = caplog.messages
    assert "has changed; the run goes on with the 20 images of its train.csv (now 24)" in line
    (photos / "class_0" / "1.jpg").unlink()
    with pytest.raises(UserError, match=r"--resume: .*class_0/1\.jpg: no such image"):
        training_images(config, run)


@pytest.mark.usefixtures("eagerly")
def test_what_is_validated_on_is_not_trained_on(config, tmp_path, caplog):
    images, table = read_folder(config.data_dir), tmp_path / "photos.csv"
    for others in ("train", ""):
        splits = np.where(images.labels < 3, "val", others)
        dataclasses.replace(images, splits=splits).write_csv(table)
        changes = {"dataset": "csv", "data_dir": str(table), "val_classes": 0, "val_split": "val"}
        config = dataclasses.replace(config, **changes)
        training, validation = training_images(config)
        assert set(training.splits) == {others} and len(training) == 20 and len(validation) == 12
        assert caplog.messages[-1] == "--val_split=val: trains on the other 20 images"
    splits = splits.astype("U9")
    splits[-8:], splits[-12:-8] = "train", "test"
    dataclasses.replace(images, splits=splits).write_csv(table)
    with pytest.raises(UserError, match="--val_split=val: add --split, one of test, train"):
        training_images(config)
    assert len(training_images(dataclasses.replace(config, split="train"))[0]) == 8


def test_refused_runs(config, copied, tmp_path):
    with pytest.raises(UserError, match=r"--resume: .* holds no run"):
        train(config, tmp_path / "absent", resume=True)
    assert not (tmp_path / "absent").exists()
    with pytest.raises(UserError, match="holds a run already; add --resume"):
        train(config, copied)
    with pytest.raises(UserError, match="has --pooling=gem, not ramac"):
        train(dataclasses.replace(config, pooling="ramac"), copied, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes_per_batch": 9}, "--classes_per_batch=5 is the most that works"),
        ({"backbone": "nothing.keras"}, "nothing.keras"),
        ({"val_classes": 7}, "--val_classes=6 is the most that works"),
        ({"freeze_until": "none"}, "--freeze_until=none"),
        ({"loss": "contrastive", "mining": "hard_negatives"}, "--tuple_negatives=5 needs as many"),
        ({"matching": "local", "loss": "softmax", "layer": "none"}, "none"),
    ],
)
def test_what_is_refused_leaves_no_run(config, tmp_path, change, message):
    config = dataclasses.replace(config, **change)
    with pytest.raises(UserError, match=message):
        (train_local_features if config.matching == "local" else train)(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_validation_needs_two_images_of_a_class(config, tmp_path):
    images = read_folder(config.data_dir)
    splits = np.where(np.arange(32) % 4, "train", "val")
    dataclasses.replace(images, splits=splits).write_csv(tmp_path / "photos.csv")
    changes = {"dataset": "csv", "data_dir": str(tmp_path / "photos.csv"), "val_classes": 0}
    config = dataclasses.replace(config, **changes, split="train", val_split="val")
    with pytest.raises(UserError, match="photos:val: validation needs a class of two images"):
        training_images(config)


def test_a_damaged_checkpoint_is_reported(config, copied):
    for file in (copied / "checkpoints").glob("*.data*"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        train(config, copied, resume=True)


@pytest.mark.usefixtures("eagerly")
def test_a_bad_image_is_named(config, tmp_path, monkeypatch):
    monkeypatch.setattr(augmentation, "decode_window", decode_window)  # of all kinds
    folder = write_collection(tmp_path / "photos", classes=4, images=2)
    bad = folder / "class_1" / "0.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    config = dataclasses.replace(config, data_dir=str(folder), val_classes=0, images_per_class=2)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"class_1/0\.jpg: cannot be decoded"):
        train(config, run)
    # It only began: the corrected command takes its place, unless it is at work.
    bad.unlink()
    shutil.copy(folder / "class_1" / "1.jpg", bad)
    with only_writer(run / LOCK), pytest.raises(UserError, match="is being written by process"):
        train(config, run)
    (run / "mined").mkdir()
    assert train(dataclasses.replace(config, steps=1, warmup_steps=0), run).steps == 1
    assert not (run / "mined").exists()
    with pytest.raises(UserError, match="holds a run already"):
        train(config, run)


def test_bad_images_are_left_out_where_that_is_asked_for(config, tmp_path, caplog):
    folder = write_collection(tmp_path / "photos", classes=5, images=3)
    paths = [folder / f"class_{n}" / "0.jpg" for n in range(4)]
    paths[0].write_bytes(paths[0].read_bytes()[:300])
    paths[1].write_bytes(b"")
    for path in paths[2:]:
        path.unlink()
    paths[2].mkdir()
    os.mkfifo(paths[3])
    config = dataclasses.replace(config, data_dir=str(folder), val_classes=2)
    with pytest.raises(UserError, match=r"class_1/0\.jpg: the image is empty"):
        training_images(config)
    training, validation = training_images(dataclasses.replace(config, skip_bad_images=True))
    assert len(training) + len(validation) == 11
    assert "4 images are left out:" in caplog.text
    assert all(f"\n{path}: " in caplog.text for path in paths)


def test_what_the_list_of_images_tells_is_said_before_one_is_read(config, monkeypatch):
    monkeypatch.setattr("darac_tf.training.run.decoding_failure", None)
    config = dataclasses.replace(config, val_classes=7, skip_bad_images=True)
    with pytest.raises(UserError, match=r"--val_classes=7: .* 8 classes"):
        training_images(config)


def test_classes_of_a_batch_are_those_there_are(config, caplog):
    config = dataclasses.replace(config, classes_per_batch=None)
    assert config.for_classes(40).classes_per_batch == 12 and not caplog.text
    assert config.for_classes(5).batch_size == 5 * config.images_per_class
    assert "batches are of all 5 classes that there are" in caplog.text


def test_files_of_a_run_are_no_one_elses(config, tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.png").touch()
    with pytest.raises(UserError, match="holds a run already"):
        train(config, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "pictures"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "--image_size=0: must be at least 1"),
        ({"images_per_class": 1}, "--images_per_class=1"),
        ({"min_crop_area": 0.0}, "--min_crop_area=0.0"),
        ({"warmup_steps": 6}, "--warmup_steps=6"),
        ({"pooling": "sum"}, "--pooling=sum: choose from"),
        ({"crop_shapes": "4:3,5:1"}, "--crop_shapes=4:3,5:1: '5:1' is no shape; give width:height"),
        ({"crop_shapes": "4:3,"}, "--crop_shapes=4:3,: '' is no shape"),
        ({"val_split": "val"}, "--val_split=val: and --val_classes"),
        ({"val_split": "a", "split": "a", "val_classes": 0}, "must be another than --split"),
    ],
)
def test_refused_settings(config, change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(config, **change)
