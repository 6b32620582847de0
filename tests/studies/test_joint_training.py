"""Heads on stored maps are what the whole network is; intervals are those of SciPy."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import bootstrap

from darac_tf.data.labelled import LabelledImages
from darac_tf.last_layers import joint_head
from darac_tf.last_layers.joint_head import JointHead, StoredBatches, describer
from darac_tf.last_layers.stored_maps import split_network, store_views, store_whole
from darac_tf.layers import DARAC, SPoC, l2_normalize
from darac_tf.losses import make_loss
from darac_tf.models import Preprocessing
from studies.flat_pictures import paste
from studies.joint_sets import TESTS, whitened_by
from studies.joint_table import difference
from studies.paired import seeds_and_queries

RANDOM = np.random.default_rng(0)


def _network():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, strides=8, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(5, 1, use_bias=False, name="last")(x)
    return keras.Model(inputs, keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A network's file, its parts, paths of six images of two shapes, and their maps."""
    folder = tmp_path_factory.mktemp("joint")
    keras.utils.set_random_seed(0)
    network = _network()
    network.save(folder / "network.keras")
    paths = []
    for number in range(6):
        sides = (48, 64) if number % 2 else (64, 48)
        paths.append(str(folder / f"{number}.png"))
        cv2.imwrite(paths[-1], RANDOM.integers(0, 256, (*sides, 3), np.uint8))
    part = split_network(str(folder / "network.keras"), None, "last")
    return network, part, paths, folder


@pytest.mark.slow
def test_stored_maps_give_what_the_whole_network_gives(stored):
    network, part, paths, folder = stored
    maps = store_whole(part, paths, 64, folder / "whole")
    assert sorted(np.concatenate([places for places, _ in maps]).tolist()) == list(range(6))
    pooling = DARAC()
    pooling.build((None, None, None, 5))
    found = describer(part.upper, {"": pooling})(maps)[""]
    for path, vector in zip(paths, found, strict=True):
        pixels = cv2.imread(path)[np.newaxis, ..., ::-1].astype(np.float32)
        of_all = l2_normalize(pooling(network(Preprocessing("tf")(pixels), training=False)))
        np.testing.assert_allclose(vector, of_all[0], atol=2e-3)
    with pytest.raises(Exception, match="maps of something else"):
        store_whole(part, paths, 48, folder / "whole")


@pytest.mark.slow
def test_a_joint_step_is_that_of_keras(stored, monkeypatch):
    """Three steps against a loop of Keras' own optimiser over the uncut upper part."""
    _, part, paths, folder = stored
    monkeypatch.setattr(joint_head, "_WARMUP", 2)
    images = LabelledImages.from_rows("set", [(p, "ab"[i // 3], "") for i, p in enumerate(paths)])
    views = store_views(part, images, (32, 40), 2, 0, folder / "views")
    assert views.shape == (2, 6, 4, 5, 6)
    batches = StoredBatches({(32, 40): views}, images.labels, "5:4", 36, 2, 3, seed=1)
    taken = [batches.batch(step) for step in range(3)]
    again = batches.batch(2)
    np.testing.assert_array_equal(again[0], taken[2][0])
    loss = make_loss("nra", 0, 0)
    head = JointHead(part.upper, SPoC(), loss)
    head.train(taken, 0.01)
    kernel = tf.Variable(part.upper.get_layer("last").kernel.numpy())
    optimizer = keras.optimizers.Adam()
    optimizer.build([kernel])
    norm = next(x for x in part.upper.layers if isinstance(x, keras.layers.BatchNormalization))
    for step, (maps, labels) in enumerate(taken):
        with tf.GradientTape() as tape:
            x = tf.nn.conv2d(tf.cast(maps, tf.float32), kernel, 1, "VALID")
            x = tf.nn.relu(norm(x, training=False))
            value = loss(labels, l2_normalize(tf.reduce_mean(x, [1, 2])))
        # Two steps of warm-up; the half cosine has one step, and ends at 0.
        optimizer.learning_rate = 0.01 * (0.5, 1.0, 0.0)[step]
        optimizer.apply([tape.gradient(value, kernel)], [kernel])
    np.testing.assert_allclose(head.weights()[0], kernel.numpy(), atol=1e-4)
    assert np.abs(head.weights()[0] - part.upper.get_layer("last").kernel.numpy()).max() > 1e-3
    head.train(taken, 0.0)
    np.testing.assert_array_equal(head.weights()[0], part.upper.get_layer("last").kernel.numpy())


def test_with_one_seed_and_set_the_interval_is_that_of_scipy():
    values = RANDOM.normal(0.1, 1, 40)
    mean, ends = seeds_and_queries([values[np.newaxis]])
    expected = bootstrap((values,), np.mean, method="percentile", rng=1, vectorized=True)
    assert mean == pytest.approx(values.mean())
    np.testing.assert_allclose(ends, expected.confidence_interval, atol=0.02)


def test_seeds_widen_the_interval():
    """The same queries for all, and seeds that differ by more than queries do."""
    queries = RANDOM.normal(0, 0.1, (1, 30))
    seeds = np.array([-1.0, 0.0, 1.0])[:, np.newaxis]
    _, one = seeds_and_queries([queries])
    _, several = seeds_and_queries([queries + seeds])
    assert several[1] - several[0] > 5 * (one[1] - one[0])


def test_a_row_of_one_seed_is_compared_with_each():
    after = {"a": np.array([[0.5, 0.7], [0.6, 0.8]]), "b": np.array([[1.0], [1.0]])}
    before = {"a": np.array([[0.4, 0.6]]), "b": np.array([[1.0]])}
    mean, (low, high) = difference(after, before)
    assert mean == pytest.approx(0.075)
    assert low == pytest.approx(0.05)
    assert high == pytest.approx(0.1)
    masks = {"a": np.array([True, False]), "b": np.array([False])}
    assert difference(after, before, masks)[0] == pytest.approx(0.15)


def test_no_set_is_whitened_by_itself():
    for name in TESTS:
        assert name not in whitened_by(name)
        assert len(whitened_by(name)) >= 3


def test_a_pasted_picture_covers_its_share_and_nothing_else():
    white, photograph = np.full((30, 40, 3), 255, np.uint8), np.zeros((120, 160, 3), np.uint8)
    for seed in range(20):
        image = paste(np.random.default_rng(seed), photograph, white)
        share = (image > 60).all(axis=-1).mean()
        assert 0.08 * (1 - 2 * 0.12) ** 2 - 0.01 < share < 0.41
        rows, columns = np.nonzero(image.any(axis=-1))
        filled = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / (120 * 160)
        assert filled < 0.43
