"""From photographs to a run on prepared records, with tempered classes."""

import dataclasses
import json

import numpy as np
import pytest

from darac_tf.choices import DATASETS
from darac_tf.data import check_data, load_dataset
from darac_tf.data.images import decode_image
from darac_tf.data.training_sets import TRAINING_SETS
from darac_tf.errors import UserError
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import train
from tests.helpers import write_backbone, write_collection
from tests.training.short_runs import light_steps


@pytest.fixture(scope="module")
def config(run_command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    photos = write_collection(folder / "photos", classes=6, images=4)
    bad = photos / "class_2" / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    status, output, last = run_command(
        "prepare.py", f"--data_dir={photos}", f"--out={folder / 'out'}", "--size=32"
    )
    assert status == 0, last
    counts, dropped = output.splitlines()[-2:]
    assert counts.endswith("out: 23 of 24 images of 6 classes, 1 dropped (report.json)")
    assert dropped.startswith(f"{bad}: cannot be decoded")
    return TrainConfig(
        pooling_steps=0,
        dataset="prepared",
        data_dir=str(folder / "out"),
        val_classes=2,
        backbone=write_backbone(folder / "small.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        class_power=0.5,
        steps=2,
        warmup_steps=1,
        val_every=2,
    )


@pytest.mark.usefixtures("eagerly")
def test_a_run_on_prepared_images(config, tmp_path, monkeypatch):
    light_steps(monkeypatch)
    result = train(config, tmp_path / "run")
    assert np.isfinite(result.losses).all() and 0 < result.best <= 1
    folders = {path.name for path in (tmp_path / "run" / "val_images").iterdir()}
    assert len(folders) == 2
    assert json.loads((tmp_path / "run" / "config.json").read_text())["class_power"] == 0.5
    assert train(config, tmp_path / "run", resume=True).steps == 2
    with pytest.raises(UserError, match="--mining=hard_negatives needs image files"):
        mined = dataclasses.replace(config, mining="hard_negatives", loss="contrastive")
        train(mined, tmp_path / "mined")


def test_images_are_read_as_they_were_prepared(config):
    images = load_dataset("prepared", config.data_dir)
    assert min(decode_image(images.read(0)).shape[:2]) == 32
    assert len(images) == 23 and len(images.class_names) == 6


def test_training_sets_are_data_sets(tmp_path):
    assert set(TRAINING_SETS) < set(DATASETS)
    text, is_complete = check_data("gldv2_clean", str(tmp_path))
    assert not is_complete and "train_clean.csv" in text
    with pytest.raises(UserError, match=r"train_clean\.csv"):
        load_dataset("gldv2_clean", str(tmp_path))
    with pytest.raises(UserError, match="--class_power=2: must lie in"):
        TrainConfig(class_power=2)
