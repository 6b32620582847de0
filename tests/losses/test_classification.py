"""Losses that classify: softmax, ArcFace and CosFace against plain loops, and their weights."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import ArcFaceLoss, CosFaceLoss, SoftmaxLoss
from tests.losses.loss_checks import (
    assert_equals_oracle,
    central_differences,
    make_batch,
    unit_rows,
    value_and_gradient,
)

CLASSES, DIM = 5, 4
LABELS = [0, 3, 4, 4, 1, 0]


def _cross_entropy(logits, label):
    top = max(logits)
    return math.log(sum(math.exp(x - top) for x in logits)) + top - logits[label]


def softmax(labels, embeddings, kernel, bias, scale):
    losses = []
    for label, x in zip(labels, unit_rows(embeddings), strict=True):
        logits = [scale * np.dot(x, w) + b for w, b in zip(kernel, bias, strict=True)]
        losses.append(_cross_entropy(logits, label))
    return np.mean(losses)


def margin_softmax(labels, embeddings, kernel, scale, target):
    losses = []
    for label, x in zip(labels, unit_rows(embeddings), strict=True):
        angles = [math.acos(np.clip(np.dot(x, w), -1, 1)) for w in unit_rows(kernel)]
        logits = [scale * math.cos(angle) for angle in angles]
        logits[label] = scale * target(angles[label])
        losses.append(_cross_entropy(logits, label))
    return np.mean(losses)


def cosface_target(margin):
    return lambda angle: math.cos(angle) - margin


def arcface_target(margin):
    def target(angle):
        if angle + margin > math.pi:
            return math.cos(angle) - margin * math.sin(margin)
        return math.cos(angle + margin)

    return target


def _softmax(scale):
    loss = SoftmaxLoss(CLASSES, DIM, scale)
    loss.bias.assign(np.random.default_rng(5).normal(size=CLASSES))
    return loss, lambda y, x, kernel, bias: softmax(y, x, kernel, bias, scale)


def _cosface(margin, scale):
    return CosFaceLoss(CLASSES, DIM, margin, scale), lambda y, x, kernel: margin_softmax(
        y, x, kernel, scale, cosface_target(margin)
    )


def _arcface(margin, scale):
    return ArcFaceLoss(CLASSES, DIM, margin, scale), lambda y, x, kernel: margin_softmax(
        y, x, kernel, scale, arcface_target(margin)
    )


CASES = {
    "softmax 16": lambda: _softmax(16.0),
    "softmax 1": lambda: _softmax(1.0),
    "cosface": lambda: _cosface(0.35, 64.0),
    "cosface small": lambda: _cosface(0.1, 4.0),
    "arcface": lambda: _arcface(0.5, 64.0),
    "arcface small": lambda: _arcface(0.1, 4.0),
    "arcface wide": lambda: _arcface(1.5, 8.0),
}


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_equal_the_loops(case):
    loss, oracle = CASES[case]()
    labels, x = make_batch(LABELS)
    weights = [np.float64(v) for v in loss.trainable_variables]
    assert_equals_oracle(loss, lambda y, x: oracle(y, x, *weights), labels, x)


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_weights_equals_the_loops(case):
    loss, oracle = CASES[case]()
    labels, x = make_batch(LABELS)
    variables = [v.value for v in loss.trainable_variables]
    weights = [np.float64(v) for v in variables]
    with tf.GradientTape() as tape:
        value = loss(labels, x)
    for i, gradient in enumerate(tape.gradient(value, variables)):

        def moved(w, i=i):
            return oracle(labels, x, *weights[:i], w, *weights[i + 1 :])

        expected = central_differences(moved, weights[i])
        limit = 5e-5 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, atol=limit)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.01, 1.0, 2.6, 2.7, 3.1, math.pi])
def test_arcface_at_every_angle(angle):
    """Two classes in the plane, the embedding at a given angle from its own: no digits are lost."""
    loss = ArcFaceLoss(2, 2, margin=0.5, scale=1.0)
    kernel = np.array([[1.0, 0.0], [0.0, 3.0]])
    loss.kernel.assign(kernel)
    x = tf.constant([[2 * math.cos(angle), 2 * math.sin(angle)]], tf.float32)
    value, gradient = value_and_gradient(loss, [0], x)
    expected = margin_softmax([0], x.numpy(), kernel, 1.0, arcface_target(0.5))
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    assert np.isfinite(gradient).all()
    # The loss moves by at most the change of its logits: both cosines, by the angle.
    assert np.linalg.norm(gradient) <= 2 / 2 + 1e-3


def test_arcface_never_rewards_a_larger_angle():
    angles = np.linspace(0, math.pi, 2001)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    loss = ArcFaceLoss(2, 2, margin=0.5, scale=1.0)
    target = loss._target(tf.constant(x), tf.constant([[1.0, 0.0]] * len(x)))
    assert (np.diff(target) < 1e-6).all()


@pytest.mark.parametrize("of_class", [SoftmaxLoss, ArcFaceLoss, CosFaceLoss])
@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("wrong", [-1, CLASSES, 2**40])
def test_labels_that_are_no_class_are_refused(of_class, mode, wrong):
    loss = of_class(CLASSES, DIM)
    labels, x = make_batch([0, wrong, 1])
    if mode == "graph":
        signature = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, DIM], tf.float64)]
        loss = tf.function(loss.__call__, input_signature=signature, autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"labels must lie in \[0, 5\)"):
        loss(labels, x)


def test_float_labels_are_refused():
    with pytest.raises(ValueError, match=r"labels must be integers\. Received: dtype=float32"):
        SoftmaxLoss(CLASSES, DIM)(tf.constant([0.0, 1.0]), np.ones((2, DIM)))


@pytest.mark.parametrize("of_class", [SoftmaxLoss, ArcFaceLoss, CosFaceLoss])
def test_checkpoint_restores_the_weights(of_class, tmp_path):
    labels, x = make_batch(LABELS)
    first = of_class(CLASSES, DIM, seed=1)
    for variable in first.trainable_variables:
        variable.assign(variable + 0.3 * np.random.default_rng(2).normal(size=variable.shape))
    path = tf.train.Checkpoint(loss=first).write(str(tmp_path / "loss"))
    second = of_class(CLASSES, DIM, seed=2)
    before = float(second(labels, x))
    tf.train.Checkpoint(loss=second).read(path).assert_consumed()
    assert float(second(labels, x)) == float(first(labels, x)) != before


@pytest.mark.parametrize("of_class", [SoftmaxLoss, ArcFaceLoss, CosFaceLoss])
def test_seed_decides_the_weights(of_class):
    one, same, other = (of_class(CLASSES, DIM, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.kernel, same.kernel)
    assert np.abs(np.array(one.kernel) - np.array(other.kernel)).max() > 0.1


@pytest.mark.parametrize("of_class", [SoftmaxLoss, ArcFaceLoss, CosFaceLoss])
def test_mixed_precision_policy_changes_nothing(of_class):
    labels, x = make_batch(np.array(LABELS, np.int64))
    expected = of_class(CLASSES, DIM)(labels, x)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        loss = of_class(CLASSES, DIM)
        value = loss(labels, x)
    finally:
        keras.config.set_dtype_policy("float32")
    assert value.dtype == tf.float32
    assert {v.dtype for v in loss.trainable_variables} == {"float32"}
    assert float(value) == float(expected)


@pytest.mark.parametrize("of_class", [SoftmaxLoss, ArcFaceLoss, CosFaceLoss])
def test_optimiser_learns_embeddings_and_weights(of_class):
    labels, x = make_batch(LABELS)
    loss, embeddings = of_class(CLASSES, DIM), keras.Variable(x)
    variables = [embeddings, *loss.trainable_variables]
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            value = loss(labels, embeddings.value)
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
        return value

    start = [np.array(v) for v in variables]
    values = [float(step()) for _ in range(60)]
    assert values[-1] < 0.1 * values[0]
    for before, after in zip(start, variables, strict=True):
        assert np.abs(before - np.array(after)).max() > 0.1


@pytest.mark.parametrize(
    ("of_class", "options"),
    [
        (SoftmaxLoss, {"scale": 0.0}),
        (CosFaceLoss, {"margin": -0.1}),
        (ArcFaceLoss, {"margin": 1.6}),
        (ArcFaceLoss, {"scale": -1.0}),
        (SoftmaxLoss, {"num_classes": 1}),
        (SoftmaxLoss, {"dim": 0}),
    ],
)
def test_wrong_options_are_refused(of_class, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^`{name}` must .* Received: {name}={value!r}$"):
        of_class(**({"num_classes": 3, "dim": 2} | options))
