"""Digits in two dimensions: scores against loops, equal budgets, and the command."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from darac_tf.errors import UserError
from darac_tf.reports.figures import DPI
from studies.digit_data import load_digits
from studies.digit_plot import class_directions, draw_embeddings
from studies.digit_scores import knn_accuracy, mean_and_deviation, mean_ap, placed
from studies.digit_training import (
    CIRCLE,
    LOSSES,
    PLANE,
    PlainSoftmaxLoss,
    batches,
    build_network,
    embed,
    train,
)
from tests.helpers import slow_but
from tests.studies.study_runner import png_size, run_study


def loop_accuracy(train_points, train_labels, test_points, test_labels, neighbours):
    right = 0
    for point, label in zip(test_points, test_labels, strict=True):
        distances = [np.sqrt(sum((point - other) ** 2)) for other in train_points]
        votes = [train_labels[i] for i in sorted(range(len(distances)), key=distances.__getitem__)]
        votes = votes[:neighbours]
        right += max(sorted(set(votes)), key=votes.count) == label
    return right / len(test_labels)


def loop_mean_ap(points, labels):
    """Leave-one-out mean of `1/|P| sum_h h / rank_h`, by cosine."""
    points = [point / np.sqrt(sum(point**2)) for point in points.astype(np.float64)]
    aps = []
    for query, point in enumerate(points):
        others = [i for i in range(len(points)) if i != query]
        others.sort(key=lambda i: -sum(point * points[i]))
        hits, total = 0, 0.0
        for rank, i in enumerate(others, start=1):
            if labels[i] == labels[query]:
                hits += 1
                total += hits / rank
        aps.append(total / hits)
    return sum(aps) / len(aps)


def test_scores_are_those_of_loops():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 2)).astype(np.float32)
    labels = np.arange(40) % 3
    halves = (points[:20], labels[:20], points[20:], labels[20:])
    for neighbours in (1, 3):
        assert knn_accuracy(*halves, neighbours) == pytest.approx(
            loop_accuracy(*halves, neighbours)
        )
    assert mean_ap(points, labels) == pytest.approx(loop_mean_ap(points, labels), abs=1e-6)
    assert knn_accuracy(*halves, 100) <= 1  # no more neighbours than there are


def test_the_circle_and_the_plane():
    points = np.array([[3.0, 4.0], [-2.0, 0.0]], np.float32)
    np.testing.assert_array_equal(placed(points, PLANE), points)
    np.testing.assert_allclose(placed(points, CIRCLE), [[0.6, 0.8], [-1, 0]], atol=1e-6)
    assert mean_and_deviation([0.1, 0.2, 0.3]) == "20.00 ± 10.00"


def test_directions_go_around_the_seam():
    angles = np.array([3.0, -3.1, 0.5])  # the first two are of one class, across pi
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found, means = class_directions(points, np.array([4, 4, 7]))
    assert found.tolist() == [4, 7]
    np.testing.assert_allclose(np.cos(means - [(3.0 + 2 * np.pi - 3.1) / 2, 0.5]), 1, atol=1e-6)


def test_sklearn_digits_are_split_by_class():
    digits = load_digits()
    assert digits.train_images.shape == (1257, 8, 8, 1) and digits.test_images.shape[0] == 540
    assert digits.train_images.min() == 0 and digits.train_images.max() == 1
    shares = np.bincount(digits.test_labels) / (
        np.bincount(digits.test_labels) + np.bincount(digits.train_labels)
    )
    np.testing.assert_allclose(shares, 0.3, atol=0.01)
    np.testing.assert_array_equal(digits.test_images, load_digits().test_images)
    with pytest.raises(ValueError, match="Received: 'letters'"):
        load_digits("letters")


def test_mnist_is_scaled_or_said_to_be_missing(monkeypatch):
    def fake(name, split, data_dir, batch_size):
        assert (name, split, data_dir, batch_size) == ("mnist", ["train", "test"], "here", -1)
        image = np.full((3, 28, 28, 1), 255, np.uint8)
        return [{"image": image, "label": np.array([1, 2, 3])}] * 2

    monkeypatch.setattr(tfds, "load", fake)
    digits = load_digits("mnist", "here")
    assert digits.train_images.dtype == np.float32 and digits.train_images.max() == 1
    assert digits.test_labels.tolist() == [1, 2, 3]

    def offline(*_, **__):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(tfds, "load", offline)
    with pytest.raises(UserError, match=r"no route to host.*--data_dir") as caught:
        load_digits("mnist")
    assert "\n" not in str(caught.value)


def test_plain_softmax_is_cross_entropy_of_the_plane():
    loss = PlainSoftmaxLoss(3, 2)
    kernel, bias = (np.asarray(v, np.float64) for v in loss.trainable_variables)
    points, labels = np.array([[3.0, -1.0], [0.5, 8.0]]), [2, 0]
    total = 0.0
    for point, label in zip(points, labels, strict=True):
        logits = [sum(point * kernel[:, c]) + bias[c] for c in range(3)]
        total -= np.log(np.exp(logits[label]) / sum(np.exp(logits)))
    value = loss(np.array(labels), points.astype(np.float32))
    assert float(value) == pytest.approx(total / 2, rel=1e-5)
    # The length counts, unlike on the circle.
    assert float(loss(np.array(labels), 2 * points.astype(np.float32))) != pytest.approx(total / 2)


def test_batches_have_p_classes_of_k_images():
    labels = np.repeat(np.arange(5), 7)
    found = batches(labels, 4, 3, steps=6, seed=1)
    assert found.shape == (6, 12) and len({tuple(batch) for batch in found}) == 6
    for batch in found:
        classes, counts = np.unique(labels[batch], return_counts=True)
        assert len(classes) == 4 and set(counts) == {3} and len(set(batch)) == 12
    np.testing.assert_array_equal(found, batches(labels, 4, 3, steps=6, seed=1))
    assert (found != batches(labels, 4, 3, steps=6, seed=2)).any()


def test_the_rate_falls_as_half_a_cosine():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    start = network.get_weights()[0].item()

    class Mean:
        trainable_variables = ()

        def __call__(self, labels, embeddings):
            return tf.reduce_mean(embeddings)

    # The gradient is always 1, so that a step of Adam is its rate.
    train(network, Mean(), np.ones((2, 1), np.float32), np.zeros(2), [[0, 1]] * 4, 0.1)
    rates = [0.1 * (1 + np.cos(np.pi * step / 4)) / 2 for step in range(4)]
    assert network.get_weights()[0].item() == pytest.approx(start - sum(rates), abs=1e-5)


@pytest.mark.parametrize("name", slow_but(["nra"], ["softmax", "normalised_softmax", "nra"]))
def test_training_lowers_the_loss_and_moves_all_variables(name):
    digits = load_digits()
    images, labels = digits.train_images[:40], digits.train_labels[:40]
    network, loss = build_network((8, 8, 1)), LOSSES[name][0]()
    before = [np.array(v) for v in [*network.trainable_variables, *loss.trainable_variables]]
    values = train(network, loss, images, labels, np.tile(np.arange(24), (12, 1)), 3e-3)
    after = [np.array(v) for v in [*network.trainable_variables, *loss.trainable_variables]]
    assert values.shape == (12,) and np.isfinite(values).all()
    assert values[-1] < values[0]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    assert embed(network, images).shape == (40, 2)


@pytest.mark.slow
def test_directions_that_are_drawn_are_exact():
    angles = np.linspace(-3, 3, 30)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    figure = draw_embeddings("t", [("a", CIRCLE, points, np.arange(30) % 10, [])])
    drawn = np.concatenate([c.get_offsets() for c in figure.axes[0].collections])
    drawn_angles = np.sort(np.arctan2(drawn[:, 1], drawn[:, 0]))
    np.testing.assert_allclose(drawn_angles, angles, atol=1e-6)
    radii = np.sqrt((drawn**2).sum(axis=1))
    assert radii.min() >= 0.78 and radii.max() <= 1


@pytest.mark.slow
@pytest.mark.slow
def test_from_digits_to_files(tmp_path, capsys):
    flags = ["--steps=2", "--seeds=2", "--images_per_class=2", "--losses=softmax,nra"]
    assert run_study("digits", *flags, f"--out={tmp_path}") == 0
    page = (tmp_path / "digits.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() in page
    content = json.loads((tmp_path / "digits.json").read_text())
    assert content["settings"]["steps"] == 2
    rows = content["results"]
    assert [(row["loss"], row["space"], row["seed"]) for row in rows] == [
        ("softmax", "plane", 0),
        ("softmax", "plane", 1),
        ("nra", "circle", 0),
        ("nra", "circle", 1),
    ]
    for name in ("softmax", "nra"):
        own = [row for row in rows if row["loss"] == name]
        assert mean_and_deviation([row["mAP"] for row in own]) in page
    assert all(row["accuracy"] == row["accuracy on the circle"] for row in rows[2:])
    assert png_size(tmp_path / "digits.png") == (round(2 * 4.2 * DPI), round(5.2 * DPI))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--losses=nra,nra", "each once"),
        ("--losses=margin", "--losses=margin"),
        ("--seeds=0", "--seeds"),
        ("--data=letters", "--data"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, flag, message):
    status = run_study("digits", flag, f"--out={tmp_path / 'wrong'}")
    assert isinstance(status, str) and status.startswith("error: ") and message in status
    assert "\n" not in status and not (tmp_path / "wrong").exists()
