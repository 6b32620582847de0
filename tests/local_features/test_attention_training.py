"""Training learns and changes nothing but the attention; its file gives the model back."""

import dataclasses

import keras
import numpy as np
import pytest

from darac_tf.data import augmentation, load_dataset
from darac_tf.data.images import decode_window
from darac_tf.errors import UserError
from darac_tf.layers import L2Normalization
from darac_tf.local_features.model import AttentionScores, build_delf, load_delf, save_delf
from darac_tf.models import Preprocessing
from darac_tf.models.backbones import load_keras_model
from darac_tf.training.config import TrainConfig
from darac_tf.training.local_features import factor_of_step, say_what_was_learned, train_attention
from tests.helpers import write_backbone, write_collection, write_image
from tests.training.short_runs import jpegs_only

SETTINGS = TrainConfig(
    layer="small_inner",
    image_size=32,
    classes_per_batch=4,
    images_per_class=2,
    steps=30,
    warmup_steps=0,
    head_learning_rate=0.03,
    min_crop_area=0.8,
    light=0.0,
)


@pytest.fixture(scope="module", autouse=True)
def _jpegs():
    with jpegs_only():
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return load_dataset("folder", write_collection(tmp_path_factory.mktemp("images")))


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")


def load_backbone(file):
    model = load_keras_model(file)
    model.layers[-1].name = "small_inner"
    return model


@pytest.fixture
def backbone(backbone_file):
    return load_backbone(backbone_file)


@pytest.fixture(scope="module")
def trained(images, backbone_file):
    """`(backbone, its weights before, model, losses)` of a training."""
    backbone = load_backbone(backbone_file)
    before = [np.array(weights) for weights in backbone.get_weights()]
    return (
        backbone,
        before,
        *train_attention(backbone, Preprocessing("tf"), images, SETTINGS, 6, False),
    )


def test_only_the_attention_learns(trained):
    backbone, before, model, losses = trained
    assert losses.shape == (30,)
    assert losses[-5:].mean() < 0.7 * losses[:5].mean()
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    keras.utils.set_random_seed(SETTINGS.seed)
    untrained = AttentionScores(6)
    untrained.build((None, None, None, 16))
    trained = model.get_layer("attention").get_weights()
    for old, new in zip(untrained.get_weights(), trained, strict=True):
        assert np.abs(old - new).max() > 1e-3


def test_features_of_any_length_teach_the_attention(images, backbone):
    """Without batch normalisation one step at this rate puts all scores to zero, for good."""
    last = backbone.layers[-1]
    last.set_weights([1000 * np.array(weights) for weights in last.get_weights()])
    settings = dataclasses.replace(SETTINGS, head_learning_rate=0.01, steps=40)
    model, losses = train_attention(backbone, Preprocessing("tf"), images, settings, 64, False)
    assert losses[-5:].mean() < 0.5 * np.log(len(images.class_names))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    attention = model(pixels)[1]
    assert np.linalg.norm(backbone(pixels / 127.5 - 1), axis=-1).mean() > 100
    assert np.mean(attention) > 1e-3


@pytest.mark.parametrize(
    ("end", "says"), [(np.log(8), True), (0.95 * np.log(8), True), (1.0, False)]
)
def test_an_attention_that_has_learned_nothing_is_said(end, says, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        say_what_was_learned(np.linspace(3, end, 200), 8)
    assert ("hardly learned: its loss ended at" in caplog.text) == says


def test_the_same_seed_trains_the_same(images, backbone, trained):
    _, losses = train_attention(backbone, Preprocessing("tf"), images, SETTINGS, 6, False)
    np.testing.assert_allclose(losses, trained[3], rtol=1e-4)


def test_the_file_gives_the_model_back(backbone, tmp_path):
    model = build_delf(backbone, Preprocessing("tf"), AttentionScores(6, name="attention"))
    save_delf(model, tmp_path / "run" / "delf.keras")
    loaded = load_delf(tmp_path / "run")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype(np.float32)
    features, attention = model(pixels)
    assert features.shape == (2, 4, 6, 16) and attention.shape == (2, 4, 6)
    maps = backbone(pixels / 127.5 - 1, training=False)
    np.testing.assert_allclose(features, L2Normalization()(maps), atol=1e-5)
    for found, expected in zip(loaded(pixels), (features, attention), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_refuses_other_files(backbone, tmp_path):
    backbone.save(tmp_path / "delf.keras")
    with pytest.raises(UserError, match="is no model of local features"):
        load_delf(tmp_path)
    with pytest.raises(UserError, match=r"name the file of the model with \.keras"):
        save_delf(backbone, tmp_path / "delf.h5")


def test_refuses_one_class_and_names_a_bad_image(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(augmentation, "decode_window", decode_window)  # of all kinds
    write_image(tmp_path / "one" / "a" / "0.jpg")
    with pytest.raises(UserError, match="at least two classes"):
        images = load_dataset("folder", tmp_path / "one")
        train_attention(backbone, Preprocessing(), images, SETTINGS, 6, False)
    folder = write_collection(tmp_path / "bad", classes=2, images=1)
    (folder / "class_1" / "0.jpg").write_bytes(b"no image")
    settings = dataclasses.replace(SETTINGS, classes_per_batch=None)
    with pytest.raises(UserError, match=r"class_1/0\.jpg: cannot be decoded"):
        train_attention(
            backbone, Preprocessing(), load_dataset("folder", folder), settings, 6, False
        )


def test_a_loss_that_is_not_finite_is_named(images, backbone):
    backbone.layers[-1].activation = keras.activations.linear  # some CPUs' ReLU turns NaN into 0
    backbone.layers[-1].set_weights([np.full(w.shape, np.nan) for w in backbone.layers[-1].weights])
    with pytest.raises(UserError, match="step 1: the loss is nan"):
        train_attention(backbone, Preprocessing(), images, SETTINGS, 6, False)


def test_crops_are_scaled_by_a_random_factor(images, backbone):
    config = dataclasses.replace(SETTINGS, matching="local", loss="softmax", steps=4)
    config = dataclasses.replace(config, image_size=96, min_scale=0.5)
    factors = [factor_of_step(config, step) for step in range(200)]
    assert 0.5 <= min(factors) < 0.52 and 0.98 < max(factors) <= 1
    assert factor_of_step(SETTINGS, 0) == 1
    _, losses = train_attention(backbone, Preprocessing("tf"), images, config, 6, False)
    assert np.isfinite(losses).all() and len(losses) == 4
    with pytest.raises(UserError, match=r"--min_scale=0\.5: is for --matching=local"):
        dataclasses.replace(config, matching="global")
