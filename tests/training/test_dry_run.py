"""A dry run: sizes from the model and the data, and no file left behind."""

import re

import keras
import pytest

from darac_tf.errors import UserError
from darac_tf.training.config import TrainConfig
from darac_tf.training.dry_run import dry_run
from tests.helpers import slow_but, write_backbone, write_collection


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dry_run")
    return {
        "dataset": "folder",
        "data_dir": str(write_collection(folder / "photos", classes=6, images=4)),
        "val_classes": 2,
        "backbone": write_backbone(folder / "small.keras"),
        "image_size": 32,
        "classes_per_batch": 3,
        "images_per_class": 2,
        "steps": 10,
        "warmup_steps": 1,
        "pooling_steps": 0,
        "val_every": 4,
    }


def rows_of(table):
    return dict(line.strip("| ").split(" | ") for line in table.splitlines()[2:])


@pytest.mark.usefixtures("eagerly")
def test_it_says_what_the_run_takes_and_writes_nothing(settings, tmp_path):
    run_dir = tmp_path / "run"
    rows = rows_of(dry_run(TrainConfig(**settings), run_dir))
    assert not run_dir.exists() and not list(tmp_path.iterdir())
    assert rows["training images"] == "16 of 4 classes"
    assert rows["validation images"] == "8 of 2 classes"
    assert rows["batch"].startswith("6 x 32 x 32 x 3")
    assert rows["feature maps"] == "6 x 4 x 4 x 16"
    assert rows["descriptor"] == "6 x 16"
    # Two convolutions with biases, batch normalisation at rest, 42 region weights.
    trained = (4 * 4 * 3 * 16 + 16) + (3 * 3 * 16 * 16 + 16) + 42
    assert rows["parameters"] == f"{trained + 4 * 16:,}, of which {trained:,} are trained"
    assert int(re.match(r"[\d,]+", rows["memory, peak"])[0].replace(",", "")) > 100
    assert rows["training"].endswith("for 10 steps")
    assert rows["validation"].endswith("for 4 times")


@pytest.mark.slow
def test_it_measures_each_shape_of_crops(settings, tmp_path):
    shapes = {"crop_shapes": "2:1,1:2,2:1", "steps": 6}
    rows = rows_of(dry_run(TrainConfig(**settings | shapes), tmp_path / "run"))
    assert rows["batch"].startswith("6 x 23 x 45 x 3, 6 x 45 x 23 x 3 on")
    assert rows["feature maps"] == "6 x 3 x 6 x 16, 6 x 6 x 3 x 16"
    assert rows["first step of 2 shapes"].endswith("with tracing")


@pytest.mark.slow
def test_a_run_of_one_step_with_mining_and_without_validation(settings, tmp_path):
    changes = {
        "val_classes": 0,
        "steps": 1,
        "warmup_steps": 0,
        "loss": "contrastive",
        "mining": "hard_negatives",
        "mining_queries": 4,
        "tuples_per_batch": 2,
        "tuple_negatives": 1,
    }
    rows = rows_of(dry_run(TrainConfig(**settings | changes), tmp_path / "run"))
    assert rows["batch"].startswith("6 x 32") and "mining" in rows
    assert "validation" not in rows and rows["training"].endswith("for 1 steps")


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    "changes", slow_but([{"steps": 0}], [{"steps": 0}, {"val_classes": 0, "pooling": "gem"}])
)
def test_the_pooling_alone(settings, tmp_path, changes):
    pooling = {"pooling_steps": 50, "pooling_images": 10, "pooling_views": 3}
    rows = rows_of(dry_run(TrainConfig(**settings | pooling | changes), tmp_path / "run"))
    # Two of each of four classes in three views, and all eight of the two held-out classes.
    assert "32 images described, 50 steps of " in rows["pooling alone"]
    width = 16 * (42 if "steps" in changes else 4 * 4)
    assert rows["disk, cached vectors"].startswith(f"{32 * width * 4 / 2**20:.2g} MiB")
    assert ("training" in rows) == ("steps" not in changes) and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_local_features(settings, tmp_path):
    layer = keras.models.load_model(settings["backbone"]).layers[-1].name
    local = {"matching": "local", "loss": "softmax", "layer": layer, "min_scale": 0.5}
    rows = rows_of(dry_run(TrainConfig(**settings | local), tmp_path / "run"))
    assert rows["batch"] == "6 x 32 x 32 x 3, scaled by 0.5 to 1" and "memory, peak" in rows
    assert rows["training"].endswith("for 10 steps") and not list(tmp_path.iterdir())


def test_what_stops_the_run_stops_the_dry_run(settings, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        dry_run(TrainConfig(**settings | {"data_dir": "nowhere"}), tmp_path / "run")
    short = TrainConfig(**settings | {"steps": 2})
    short.write(tmp_path / "run")
    (tmp_path / "run" / "last.keras").touch()
    with pytest.raises(UserError, match="holds a run already"):
        dry_run(short, tmp_path / "run")
