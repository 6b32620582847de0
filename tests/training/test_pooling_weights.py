"""What a pooling learns on cached vectors: the same descriptors, better ones, and nothing else."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from darac_tf.data import load_dataset
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError
from darac_tf.models import build_descriptor, load_descriptor
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of
from darac_tf.training.config import TrainConfig
from darac_tf.training.pooling_weights import (
    _Batches,
    _cached_vectors,
    _fit,
    _make_pool,
    _some,
    _views,
    fit_pooling_weights,
    is_fitted,
)
from darac_tf.training.run import train
from tests.helpers import write_backbone, write_image

SETTINGS = {
    "image_size": 64,
    "classes_per_batch": 4,
    "images_per_class": 3,
    "val_batch_pixels": 100_000,
    "pooling_steps": 60,
    "pooling_learning_rate": 0.1,
}


def _write_half_right(folder, classes=10, images=5):
    """Images whose right third has the colour of their class, and the rest any other's."""
    random = np.random.default_rng(0)
    colours = random.uniform(0, 255, (classes, 3))
    for label in range(classes):
        for view in range(images):
            pixels = np.empty((64, 96, 3))
            pixels[:, :64] = random.uniform(0, 255, 3)
            pixels[:, 64:] = colours[label]
            pixels += random.normal(0, 8, pixels.shape)
            path = folder / f"class_{label:02d}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return _write_half_right(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")


@pytest.mark.parametrize("pooling", ["darac", "gem"])
def test_cached_vectors_give_the_descriptors_of_the_model(pooling, backbone, tmp_path):
    shapes = [(64, 48), (40, 64), (64, 64)]
    paths = [write_image(tmp_path / f"{i}.png", *shape, seed=i) for i, shape in enumerate(shapes)]
    model = build_descriptor(backbone, pooling=pooling)
    layer = model.get_layer(POOLING_LAYER)
    layer.set_weights([w + 0.3 * np.arange(w.size).reshape(w.shape) for w in layer.get_weights()])
    config = TrainConfig(pooling=pooling, **SETTINGS)
    vectors_of = _cached_vectors(*backbone_of(model), layer, config, tmp_path / "vectors")
    rows = vectors_of(ImageList(np.array(paths)))[:]
    found = _make_pool(layer, 16)(rows)
    expected = [model(np.asarray(Image.open(path))[np.newaxis])[0] for path in paths]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_weights_turn_to_the_regions_that_tell_classes_apart(photos, backbone, tmp_path):
    model = build_descriptor(backbone, pooling="darac", non_negative=True)
    network, _ = backbone_of(model)
    before = [w.copy() for w in network.get_weights()]
    training, held_out = load_dataset("folder", photos).hold_out_classes(4, 0)
    config = TrainConfig(non_negative=True, **SETTINGS)
    fit = fit_pooling_weights(model, training, held_out, config, tmp_path / "vectors")
    scores = dict(fit.scores)
    assert scores[fit.best_step] > scores[0] + 0.05
    weights = model.get_layer(POOLING_LAYER).get_weights()[0]
    assert weights.min() >= 0 and np.ptp(weights) > 0.5
    # The last of the two large squares of level 1 is the right one.
    assert weights[1] > weights[0]
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not (tmp_path / "vectors").exists()


def test_views_and_classes_held_out_of_training(photos, backbone, tmp_path):
    model = build_descriptor(backbone, pooling="gem")
    config = TrainConfig(
        pooling="gem", **SETTINGS | {"pooling_views": 2, "pooling_images": 20, "pooling_steps": 5}
    )
    training = load_dataset("folder", photos)
    fit = fit_pooling_weights(model, training, None, config, tmp_path / "vectors")
    assert fit.scores[0][0] == 0 and len(fit.scores) > 1
    assert str(fit).startswith("pooling: mAP of held-out classes ")


def test_views_lie_in_their_images_and_come_with_their_labels(photos):
    images = load_dataset("folder", photos)
    config = TrainConfig(min_crop_area=0.3, **SETTINGS | {"pooling_views": 3, "pooling_images": 9})
    views, count = _views(images, config), len(images)
    np.testing.assert_array_equal(views.paths, np.tile(images.paths, 3))
    assert np.isnan(views.boxes[:count]).all()
    xmin, ymin, xmax, ymax = views.boxes[count:].T
    assert min(xmin.min(), ymin.min()) >= 0 and xmax.max() <= 96 and ymax.max() <= 64
    shares = (xmax - xmin) * (ymax - ymin) / (96 * 64)
    assert 0.28 < shares.min() < 0.4 and 0.9 < shares.max() <= 1
    batches = _Batches(np.arange(3 * count)[:, np.newaxis], images.labels, config)
    for rows, labels in map(batches.batch, range(3)):
        np.testing.assert_array_equal(images.labels[rows[:, 0] % count], labels)
        assert set(rows[:, 0] // count) == {0, 1, 2}
    # A class of one image would have no positive.
    np.testing.assert_array_equal(np.bincount(_some(images, config).labels), 2)


def test_views_have_the_shapes_that_are_asked_for(photos):
    training = load_dataset("folder", photos)  # 96 x 64 pixels
    config = TrainConfig(**SETTINGS, pooling_views=9, crop_shapes="4:3,3:4,1:1")
    boxes = _views(training, config).boxes
    assert np.isnan(boxes[: len(training)]).all()
    sides = (boxes[:, 2:] - boxes[:, :2])[len(training) :]
    most = {4 / 3: (85, 64), 3 / 4: (48, 64), 1: (64, 64)}
    which = np.argmin(np.abs(np.log(sides[:, :1] / sides[:, 1:] / [list(most)])), axis=1)
    for place, (ratio, largest) in enumerate(most.items()):
        own = sides[which == place]
        assert abs(len(own) / len(sides) - 1 / 3) < 0.08
        # Corners are rounded to whole pixels.
        assert (np.abs(own[:, 0] - ratio * own[:, 1]) <= 1 + ratio).all()
        area = own.prod(axis=1) / np.prod(largest)
        assert area.min() > config.min_crop_area - 0.05 and area.max() < 1.05
    assert boxes[len(training) :].min() >= 0
    assert (boxes[len(training) :, 2:] <= [96, 64]).all()


def test_the_best_weights_stay_and_it_ends_where_none_are_better():
    weights, scores = [0], [0.2, 0.5, 0.4, 0.4, 0.5, 0.3]

    def step():
        weights[0] += 1
        return 0.0

    pooling = SimpleNamespace(get_weights=lambda: [*weights], set_weights=weights.__init__)
    batches = SimpleNamespace(batch=lambda number: ())
    fit = _fit(pooling, step, batches, lambda: scores.pop(0), 60)
    # Fifteen validations in all, and no more than four without a better score.
    assert [number for number, _ in fit.scores] == [0, 4, 8, 12, 16, 20]
    assert (fit.best_step, weights) == (4, [4])


def test_a_run_of_the_pooling_alone(photos, backbone, tmp_path):
    keras.utils.set_random_seed(0)
    config = TrainConfig(
        dataset="folder",
        data_dir=str(photos),
        val_classes=4,
        backbone=backbone,
        steps=0,
        average_decay=0.9,  # begins with what the pooling learned
        **SETTINGS | {"pooling_steps": 15, "pooling_views": 1},
    )
    result = train(config, tmp_path / "run")
    assert result.steps == 0 and result.best > 0
    weights = load_descriptor(tmp_path / "run").get_layer(POOLING_LAYER).get_weights()[0]
    assert np.ptp(weights) > 0.1
    assert (tmp_path / "run" / "last.keras").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0, "pooling_steps": 0}, "--steps=0: must be above 0, or --pooling_steps"),
        ({"steps": 0, "pooling": "rmac"}, "--steps=0: must be above 0, or --pooling_steps"),
        ({"pooling": "rmac", "pooling_steps": 5}, "--pooling_steps=5: is for --pooling=darac"),
        # Workers would hold out different classes, and write into one folder.
        ({"strategy": "multiworker", "pooling_steps": 5}, "--pooling_steps=5: is for one machine"),
    ],
)
def test_what_has_nothing_to_learn_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(**settings)


def test_too_few_classes_are_refused_before_a_run_is_made(backbone, tmp_path):
    photos = _write_half_right(tmp_path / "photos", classes=3, images=3)
    few = SETTINGS | {"classes_per_batch": 2}
    data = {"dataset": "folder", "data_dir": str(photos), "backbone": backbone}
    with pytest.raises(UserError, match="--pooling_steps: photos has 3 classes, of which two"):
        train(TrainConfig(**data, **few, steps=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 1500),
        ({"pooling": "gem", "backbone": "own.keras"}, 1500),
        ({"pooling_steps": 7}, 7),
        ({"pooling_steps": 0}, 0),
        ({"pooling": "ramac"}, 0),
        ({"backbone_weights": "none"}, 0),
        ({"strategy": "multiworker"}, 0),
        ({"matching": "local", "loss": "softmax"}, 0),
    ],
    ids=str,
)
def test_the_default_is_for_what_is_learned_on_a_pretrained_network(settings, steps):
    assert TrainConfig(**settings).steps_of_pooling == steps


def test_the_default_is_left_out_where_classes_are_too_few_and_says_so(backbone, tmp_path, caplog):
    photos = _write_half_right(tmp_path / "photos", classes=3, images=3)
    training = load_dataset("folder", str(photos))
    assert not is_fitted(TrainConfig(), training, None)
    (record,) = caplog.records
    assert "photos has 3 classes, of which two are held out" in record.getMessage()
    assert is_fitted(TrainConfig(), training, training)
    assert not is_fitted(TrainConfig(pooling_steps=0), training, None)
    assert len(caplog.records) == 1
