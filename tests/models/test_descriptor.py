"""Descriptors: any pooling on any backbone, files, and what is refused."""

import zipfile

import keras
import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.models import (
    POOLINGS,
    Preprocessing,
    build_backbone,
    build_descriptor,
    load_descriptor,
)
from darac_tf.models.descriptor import backbone_of, compose, make_pooling, share_backbone
from tests.helpers import write_backbone

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_gives_unit_vectors_and_survives_its_file(pooling, backbone, tmp_path):
    model = build_descriptor(backbone, pooling=pooling)
    vectors = model(PIXELS).numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    singles = np.concatenate([model(PIXELS[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(singles, vectors, atol=1e-6)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_descriptor(tmp_path / "model.keras")(PIXELS), vectors)


def test_shared_backbone_gives_what_each_descriptor_gives(backbone):
    models = {name: build_descriptor(backbone, pooling=name) for name in ("mac", "ramac")}
    network, preprocessing = backbone_of(models["mac"])
    heads = {name: model.get_layer("pooling") for name, model in models.items()}
    shared = share_backbone(network, preprocessing, heads)(PIXELS)
    for name, model in models.items():
        np.testing.assert_allclose(shared[name], model(PIXELS), atol=1e-6)


def test_a_run_as_backbone_is_its_network_with_its_preprocessing(backbone, tmp_path):
    network, _ = build_backbone(backbone)
    network.trainable = False
    trained = compose(network, Preprocessing("caffe"), make_pooling("spoc"))
    trained.save(tmp_path / "best.keras")
    for name in (tmp_path, tmp_path / "best.keras"):
        built, preprocessing = build_backbone(str(name))
        assert preprocessing.mode == "caffe" and len(built.trainable_weights) == 6
    again = load_descriptor(f"{tmp_path}+spoc")
    np.testing.assert_array_equal(again(PIXELS), trained(PIXELS))
    (tmp_path / "best.keras").unlink()
    with pytest.raises(UserError, match=r"best\.keras: no such"):
        build_backbone(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "channels"),
    [("ResNet50V2", 2048), pytest.param("MobileNet", 1024, marks=pytest.mark.slow)],
)
def test_applications_without_weights(name, channels):
    network, _ = build_backbone(name, "none")
    assert network.output_shape == (None, None, None, channels)


def test_weights_come_from_a_local_file(tmp_path):
    network, _ = build_backbone("VGG16", "none")
    assert network.output_shape == (None, None, None, 512)
    network.save_weights(tmp_path / "local.weights.h5")
    keras.utils.set_random_seed(7)
    loaded, _ = build_backbone("VGG16", str(tmp_path / "local.weights.h5"))
    for found, expected in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_none_draws_a_saved_backbones_weights_anew(backbone):
    own, drawn = build_backbone(backbone)[0], build_backbone(backbone, "none")[0]
    assert not np.allclose(own.get_weights()[0], drawn.get_weights()[0])


def test_no_network_says_which_file_and_how_to_pass_it(monkeypatch):
    def fail(*args, **kwargs):
        raise Exception("URL fetch failure on https://host/resnet50v2_notop.h5: None -- refused")

    monkeypatch.setattr(keras.applications, "ResNet50V2", fail)
    with pytest.raises(UserError, match=r"resnet50v2_notop\.h5 .*--backbone_weights=PATH") as info:
        build_backbone("ResNet50V2")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("kind", [".keras", ".weights.h5", "compressed.keras"])
def test_weights_of_a_file(kind, tmp_path):
    name, path = "EfficientNetLite0", tmp_path / f"its{kind}"
    trained, _ = build_backbone(name, "none")
    (trained.save_weights if kind == ".weights.h5" else trained.save)(path)
    if kind == "compressed.keras":
        with zipfile.ZipFile(path) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
    read, _ = build_backbone(name, str(path))
    for own, other in zip(read.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_refused(backbone, tmp_path):
    with pytest.raises(UserError, match="--backbone: 'ResNet51'"):
        build_backbone("ResNet51")
    with pytest.raises(UserError, match="--backbone_weights: 'nowhere"):
        build_backbone("VGG16", "nowhere.h5")
    with pytest.raises(UserError, match="leave the flag out"):
        build_backbone(backbone, "imagenet")
    with pytest.raises(UserError, match="does not fit VGG16 "):
        other = write_backbone(tmp_path / "other.keras")
        build_backbone("VGG16", other)
    with pytest.raises(UserError, match=r"empty\.keras does not fit VGG16 .*model\.weights\.h5"):
        zipfile.ZipFile(tmp_path / "empty.keras", "w").close()
        build_backbone("VGG16", str(tmp_path / "empty.keras"))
    with pytest.raises(UserError, match="is no readable Keras model"):
        (tmp_path / "text.keras").write_text("hello")
        build_backbone(str(tmp_path / "text.keras"))
    with pytest.raises(UserError, match="must map images"):
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "mlp.keras")
        build_backbone(str(tmp_path / "mlp.keras"))
    for name, shape, heads, message in (
        ("fixed", (32, 24, 3), 1, "takes images of 32 x 24 only"),
        ("grey", (None, None, 1), 1, r"it maps \(None, None, None, 1\) to"),
        ("heads", (None, None, 3), 2, r"to \[\(.*\), \(.*\)\]"),
    ):
        pixels = keras.Input(shape)
        maps = [keras.layers.Conv2D(2, 3)(pixels) for _ in range(heads)]
        keras.Model(pixels, maps if heads > 1 else maps[0]).save(tmp_path / f"{name}.keras")
        with pytest.raises(UserError, match=message) as info:
            build_backbone(str(tmp_path / f"{name}.keras"))
        assert len(str(info.value)) < 300 + len(str(tmp_path))
    with pytest.raises(UserError, match="pooling 'sum' is unknown"):
        build_descriptor(backbone, pooling="sum")
    with pytest.raises(UserError, match="pooling 'sum' is unknown"):
        load_descriptor(f"{backbone}+sum")
    with pytest.raises(UserError, match="--backbone: 'ResNet51' is neither"):
        load_descriptor("ResNet51+gem")
    with pytest.raises(UserError, match="is no descriptor"):
        load_descriptor(backbone)
    with pytest.raises(UserError, match=r"no best\.keras"):
        load_descriptor(tmp_path)


def test_a_keras_file_cannot_run_code(tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(UserError, match="is no readable Keras model"):
        build_backbone(str(tmp_path / "code.keras"))
