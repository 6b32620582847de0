"""Backbones of KerasHub, from preset folders with random weights; skipped without KerasHub."""

import json

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.options import measure
from darac_tf.export.publishing import export_saved_model
from darac_tf.models import build_backbone, build_descriptor, load_descriptor
from darac_tf.models.patch_tokens import interpolation_matrix
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import train
from tests.helpers import write_collection

hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed: pip install keras-hub")

SCALE, OFFSET = [0.017, 0.018, 0.019], [-2.1, -2.0, -1.8]
RESNET = {"input_conv_filters": [64], "input_conv_kernel_sizes": [7], "block_type": "basic_block"}
RESNET |= {"stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1]}
TOKENS = {"num_layers": 2, "hidden_dim": 8, "num_heads": 2}


def _backbones():
    models = hub.models
    dinov2 = TOKENS | {"patch_size": 14, "intermediate_dim": 16, "num_register_tokens": 2}
    vit = TOKENS | {"patch_size": 16, "mlp_dim": 16}
    return {
        "resnet": models.ResNetBackbone(**RESNET, stackwise_num_strides=[1, 2]),
        "vit": models.ViTBackbone((64, 64, 3), **vit),
        "dinov2": models.DINOV2Backbone(
            **dinov2, image_shape=(56, 56, 3), position_embedding_shape=(56, 56, 3)
        ),
    }


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """The folder of presets `resnet`, `vit`, `dinov2` and `bert`, and their backbones."""
    folder, found = tmp_path_factory.mktemp("presets"), _backbones()
    random = np.random.default_rng(0)
    kinds = ("ResNetImageConverter", "ViTImageConverter", "DINOV2ImageConverter")
    for (name, backbone), kind in zip(found.items(), kinds, strict=True):
        for weight in backbone.weights:  # Zeros and ones would hide what is not read.
            spread = random.normal(0, 0.2, weight.shape).astype(np.float32)
            weight.assign(np.abs(spread) + 0.5 if "variance" in weight.path else spread)
        backbone.save_to_preset(folder / name)
        converter = getattr(hub.layers, kind)(image_size=(32, 32), scale=SCALE, offset=OFFSET)
        converter.save_to_preset(folder / name)
    hub.models.BertBackbone(20, 1, 2, 8, 8, max_sequence_length=8).save_to_preset(folder / "bert")
    return folder, found


def images(*size):
    return np.random.default_rng(1).uniform(0, 255, (2, *size, 3)).astype(np.float32)


def maps_of(presets, name, pixels):
    network, preprocessing = build_backbone(f"hub:{presets[0] / name}")
    return network(preprocessing(pixels)).numpy()


def test_maps_of_a_convolutional_network(presets):
    pixels = images(75, 64)
    expected = presets[1]["resnet"](pixels * np.float32(SCALE) + np.float32(OFFSET))
    np.testing.assert_allclose(maps_of(presets, "resnet", pixels), expected, rtol=1e-4, atol=1e-5)


def test_maps_of_patches(presets):
    pixels = images(64, 64)
    tokens = presets[1]["vit"](pixels * np.float32(SCALE) + np.float32(OFFSET)).numpy()
    expected = tokens[:, 1:].reshape(2, 4, 4, 8)
    np.testing.assert_allclose(maps_of(presets, "vit", pixels), expected, atol=1e-5)
    assert maps_of(presets, "vit", images(90, 50)).shape == (2, 5, 3, 8)


@pytest.mark.parametrize("side", [56, 84])
def test_positions_at_other_sizes_are_those_of_kerashub(side, presets):
    """Which resizes them with a table of weights, so that a thousandth is left."""
    other = hub.models.DINOV2Backbone.from_preset(
        str(presets[0] / "dinov2"), image_shape=(side, side, 3)
    )
    pixels = images(side, side)
    tokens = other({"images": pixels * np.float32(SCALE) + np.float32(OFFSET)}).numpy()
    expected = tokens[:, 3:].reshape(2, side // 14, side // 14, 8)
    tolerance = 1e-5 if side == 56 else 5e-5  # Of positions that are interpolated.
    np.testing.assert_allclose(maps_of(presets, "dinov2", pixels), expected, atol=tolerance)


@pytest.mark.parametrize(("length", "antialias"), [(4, False), (9, True), (9, False), (2, True)])
def test_interpolation_is_that_of_tensorflow(length, antialias):
    values = np.random.default_rng(2).normal(size=(4, 1, 3)).astype(np.float32)
    found = np.tensordot(interpolation_matrix(tf.constant(length), 4, antialias), values, 1)
    expected = tf.image.resize(values, [length, 1], "bicubic", antialias=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "vit", "dinov2"])
def test_from_training_to_an_export(name, presets, tmp_path):
    photos = write_collection(tmp_path / "photos", classes=4, images=3)
    config = TrainConfig(
        dataset="folder",
        data_dir=str(photos),
        backbone=f"hub:{presets[0] / name}",
        image_size=48,
        pooling_steps=2,
        steps=2,
        warmup_steps=1,
        classes_per_batch=2,
        images_per_class=2,
    )
    train(config, tmp_path / "run")
    shape = {"dataset": "folder", "data_dir": str(photos), "resolutions": ["56,84"]}
    names = [str(tmp_path / "run"), f"{config.backbone}+gem"]
    rows = list(measure(EvalConfig(descriptors=names, **shape)))
    assert all(0 < row.result.scores["mAP (plain)"] <= 1 for row in rows)
    model = load_descriptor(tmp_path / "run")
    before, after = (
        each.layers[2].get_weights() for each in (build_descriptor(config.backbone), model)
    )
    assert any(not np.array_equal(*pair) for pair in zip(before, after, strict=True))
    export_saved_model(model, tmp_path / "saved", (56,))
    pixels = images(42, 56).astype(np.uint8)
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["pixels"]
    found = served(pixels=tf.constant(pixels))["descriptor"]
    np.testing.assert_allclose(found, model(pixels), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "vit", "dinov2"])
def test_openvino_gives_the_same(name, presets, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    shape = {"data_dir": str(write_collection(tmp_path / "photos")), "resolutions": ["84"]}
    names = [f"hub:{presets[0] / name}+mac"]
    found = [
        next(measure(EvalConfig(descriptors=names, engine=engine, **shape))).rankings.rows
        for engine in ("tensorflow", "openvino")
    ]
    np.testing.assert_array_equal(*found)


def test_text_a_fixed_size_and_a_pyramid_are_refused(presets, tmp_path):
    folder = presets[0]
    for name, message in (
        ("bert", r"hub:.*/bert is no preset of KerasHub for images that can be read \("),
        ("nowhere", r"hub:.*/nowhere is no preset .* \(Unknown preset identifier"),
    ):
        with pytest.raises(UserError, match=message) as info:
            build_backbone(f"hub:{folder / name}")
        assert "\n" not in str(info.value)
    with pytest.raises(UserError, match="resnet has its own; leave the flag out"):
        build_backbone(f"hub:{folder / 'resnet'}", "imagenet")
    config = json.loads((folder / "vit" / "config.json").read_text())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text(json.dumps(config)[:-9])
    with pytest.raises(UserError, match="is no preset of KerasHub"):
        build_backbone(f"hub:{tmp_path / 'broken'}")


def test_a_network_of_tokens_of_one_size_is_refused(tmp_path):
    shape = {"embed_dim": 4, "depths": [1], "num_heads": [1], "window_size": 2}
    backbone = hub.models.SwinTransformerBackbone((16, 16, 3), **shape)
    backbone.save_to_preset(tmp_path / "swin")
    hub.layers.SwinTransformerImageConverter(image_size=(16, 16)).save_to_preset(tmp_path / "swin")
    with pytest.raises(UserError, match=r"swin (takes images of 16 x 16 only|must map images)"):
        build_backbone(f"hub:{tmp_path / 'swin'}")


def test_no_network_and_no_cache_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Max retries exceeded\nwith much more")

    monkeypatch.setattr("keras_hub.src.utils.preset_utils.kagglehub.model_download", refuse)
    with pytest.raises(UserError, match=r"resnet_50_imagenet is no .* \(Max retries exceeded\)"):
        build_backbone("hub:resnet_50_imagenet")


def test_random_weights(presets):
    own, drawn = (build_backbone(f"hub:{presets[0] / 'resnet'}", w)[0] for w in (None, "none"))
    assert not np.allclose(own.get_weights()[0], drawn.get_weights()[0])
