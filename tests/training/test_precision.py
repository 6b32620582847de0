"""Mixed precision: what is computed in 16 bits, what is not; loss scaling; XLA."""

import contextlib
import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.models.descriptor import backbone_of
from darac_tf.training import precision
from darac_tf.training.checkpoint import RunCheckpoint
from darac_tf.training.config import TrainConfig
from darac_tf.training.precision import LossScale, computing_in
from darac_tf.training.replicas import make_replicas
from darac_tf.training.run import train
from darac_tf.training.state import build_state
from darac_tf.training.step import embedder, make_train_step
from tests.helpers import slow_but, write_backbone, write_collection
from tests.training.short_runs import eager

MIXED = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}
LABELS = tf.constant([0, 1, 2] * 2)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=4, images=3)),
        backbone=write_backbone(folder / "small.keras"),
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=4,
        warmup_steps=0,
        learning_rate=1e-3,
        checkpoint_every=2,
        average_decay=0.9,
    )


@pytest.fixture(scope="module")
def images():
    return tf.random.stateless_uniform([6, 32, 32, 3], [1, 2], 0, 255)


def build(config, **changes):
    """`(state, train_step)` of a config."""
    config = dataclasses.replace(config, **changes)
    state = build_state(config, 3, make_replicas())
    return state, make_train_step(state, config, make_replicas())


def loss_and_gradients(config, images, scale=None, **changes):
    """What a step computes, before the optimiser: `(loss, list of gradients)`, as arrays."""
    config = dataclasses.replace(config, **changes)
    state = build_state(config, 3, make_replicas())
    # A graph is built where that is what is tested.
    with contextlib.nullcontext() if config.jit_compile else eager():
        return _of_one_step(config, state, images, scale)


def _of_one_step(config, state, images, scale):
    found = [tf.Variable(tf.zeros(v.shape)) for v in state.optimizer.variables]

    def keep(gradients):
        for variable, gradient in zip(found, gradients, strict=True):
            variable.assign(gradient)

    parts = SimpleNamespace(model=state.model, loss=state.loss, loss_scale=scale, update=keep)
    value, norm = make_train_step(parts, config, make_replicas())(images, LABELS)
    assert value.dtype == norm.dtype == tf.float32
    np.testing.assert_allclose(norm, tf.linalg.global_norm(found), rtol=1e-5)
    return value.numpy(), [variable.numpy() for variable in found]


@pytest.fixture(scope="module")
def plain(config, images):
    """Loss and gradients in float32."""
    return loss_and_gradients(config, images)


def relative_error(found, expected):
    a, b = (np.concatenate([each.ravel() for each in values]) for values in (found, expected))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("name", MIXED)
def test_what_is_computed_in_16_bits(config, images, name):
    state, _ = build(config, precision=name)
    network, preprocessing = backbone_of(state.model)
    policies = [layer.dtype_policy.name for layer in state.model._flatten_layers()]
    with computing_in(network, name):
        maps = network(preprocessing(images))
        assert {layer.compute_dtype for layer in network.layers} == {MIXED[name].name}
    embeddings = embedder(state.model, name)(images)
    assert maps.dtype == MIXED[name] and embeddings.dtype == tf.float32
    np.testing.assert_allclose(tf.norm(embeddings, axis=1), 1, atol=1e-6)
    assert {variable.dtype for variable in state.model.variables} == {"float32"}
    # Outside the step, where it is validated and saved, the model computes in float32.
    assert [layer.dtype_policy.name for layer in state.model._flatten_layers()] == policies
    assert set(policies) == {"float32"} and network(preprocessing(images)).dtype == tf.float32
    difference = np.abs(embeddings - state.model(images)).max()
    assert 0 < difference < 0.02


@pytest.mark.parametrize("gpus", [[], ["GPU:0"]])
def test_depthwise_convolutions_stay_in_float32_on_cpus(monkeypatch, gpus):
    inputs = x = keras.Input((None, None, 3))
    for layer in (keras.layers.Conv2D(4, 3), keras.layers.DepthwiseConv2D(3)):
        x = layer(x)
    network = keras.Model(inputs, x)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    with computing_in(network, "mixed_bfloat16"):
        kinds = {type(layer): layer.compute_dtype for layer in network.layers}
        assert network(tf.ones((1, 8, 8, 3))).dtype == (tf.bfloat16 if gpus else tf.float32)
    assert kinds[keras.layers.Conv2D] == "bfloat16"
    assert kinds[keras.layers.DepthwiseConv2D] == ("bfloat16" if gpus else "float32")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def scaled(factor):
    scale = LossScale()
    scale.scale.assign(factor)
    return scale


@pytest.mark.parametrize("name", slow_but(["mixed_float16"], MIXED))
def test_loss_and_gradients_are_those_of_float32(config, images, plain, name):
    scale = scaled(2.0**10) if name == "mixed_float16" else None
    value, found = loss_and_gradients(config, images, scale, precision=name)
    # bfloat16 has 8 significant bits, float16 11.
    tolerance = {"mixed_bfloat16": 2**-8, "mixed_float16": 2**-11}[name]
    np.testing.assert_allclose(value, plain[0], rtol=4 * tolerance)
    assert 0 < relative_error(found, plain[1]) < 16 * tolerance


@pytest.mark.parametrize("chunk_size", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_the_scale_does_not_show_in_the_gradients(config, images, plain, chunk_size):
    value, found = loss_and_gradients(config, images, scaled(2.0**12), chunk_size=chunk_size)
    np.testing.assert_allclose(value, plain[0], rtol=1e-6)
    for a, b in zip(found, plain[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())


def everything(state):
    parts = [*state.model.variables, *state.optimizer.backbone.variables]
    parts += [*state.optimizer.head.variables, *state.average.averages, state.average.steps]
    return [np.array(part) for part in parts]


def test_a_gradient_beyond_float16_is_left_out(config, images):
    state, step = build(config, precision="mixed_float16")
    state.loss_scale.scale.assign(2.0**40)
    state.loss_scale.good_steps.assign(7)
    before = everything(state)
    loss, norm = step(images, LABELS)
    assert np.isfinite(loss) and not np.isfinite(norm)
    for old, new in zip(before, everything(state), strict=True):
        np.testing.assert_array_equal(old, new)
    assert float(state.loss_scale.scale) == 2.0**39 and int(state.loss_scale.good_steps) == 0
    # A fitting scale: the same step is made.
    state.loss_scale.scale.assign(2.0**10)
    assert np.isfinite(step(images, LABELS)[1])
    after = everything(state)
    assert sum((old != new).any() for old, new in zip(before, after, strict=True)) > 10
    assert float(state.loss_scale.scale) == 2.0**10 and int(state.loss_scale.good_steps) == 1
    assert step.experimental_get_tracing_count() == 1


def test_the_scale_against_a_loop(monkeypatch):
    monkeypatch.setattr(precision, "_STEPS_TO_DOUBLE", 3)
    found, expected, good = LossScale(), 2.0**15, 0
    update = tf.function(found.update)
    for is_finite in map(bool, [1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1]):
        update(tf.constant(is_finite))
        good = good + 1 if is_finite else 0
        if not is_finite:
            expected /= 2
        elif good == 3:
            expected, good = 2 * expected, 0
        assert (float(found.scale), int(found.good_steps)) == (expected, good)


@pytest.mark.slow
def test_overflows_do_not_end_a_run_and_the_scale_is_kept(config, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_FIRST_SCALE", 2.0**40)
    config = dataclasses.replace(config, precision="mixed_float16")
    result = train(config, tmp_path)
    assert result.steps == 4 and np.isfinite(result.losses).all() and result.traces == 1
    # No step was made, since the first scale is far too large.
    backbone, _ = backbone_of(keras.models.load_model(tmp_path / "last.keras"))
    for a, b in zip(
        backbone.get_weights(), keras.models.load_model(config.backbone).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    state, _ = build(config)
    checkpoint = RunCheckpoint(tmp_path, state)
    assert checkpoint.restore() == [] and checkpoint.step == 4
    assert float(state.loss_scale.scale) == 2.0**36


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_a_run_learns(config, name, tmp_path):
    # The first steps may go by before the loss scale has come down to what float16 holds.
    train(dataclasses.replace(config, precision=name, steps=12), tmp_path)
    model = keras.models.load_model(tmp_path / "last.keras")
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}
    before = keras.models.load_model(config.backbone).get_weights()
    after = backbone_of(model)[0].get_weights()
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
    assert all(np.isfinite(weight).all() for weight in after)


@pytest.fixture(scope="module")
def xla():
    """Skips where TensorFlow was built without XLA for this device."""
    try:
        tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))
    except (tf.errors.OpError, ValueError) as error:
        pytest.skip(f"no XLA here: {str(error).splitlines()[0]}")


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16"])
@pytest.mark.slow
@pytest.mark.usefixtures("xla")
def test_compiled_by_xla(config, images, plain, name):
    value, expected = plain
    found = loss_and_gradients(config, images, precision=name, jit_compile=True)
    # float32's are the same; bfloat16 rounds elsewhere.
    tolerance = 1e-4 if name == "float32" else 2**-4
    np.testing.assert_allclose(found[0], value, rtol=tolerance)
    assert relative_error(found[1], expected) < tolerance
