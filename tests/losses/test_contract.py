"""What every loss must do, whatever it is."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import LOSSES, ContrastiveLoss, NRALoss, TripletLoss, make_loss
from tests.helpers import slow_but
from tests.losses.loss_checks import make_batch, value_and_gradient

CLASSES, DIM = 6, 5
ALL = {name: lambda name=name: make_loss(name, CLASSES, DIM) for name in LOSSES}
ALL["contrastive of tuples"] = lambda: ContrastiveLoss(tuple_size=4)
ALL["triplet, squared"] = lambda: TripletLoss(squared=True)
ALL["nra of minmax ranks"] = lambda: NRALoss("minmax")
ALL["nra of minmax ranks, anchor"] = lambda: NRALoss("minmax", "anchor", statistics_gradient=False)
HAVE_WEIGHTS = {"softmax", "arcface", "cosface"}
# Soft NRA has edges, graph mode and precisions in its own tests; tracing it takes seconds.
OTHERS = sorted(set(ALL) - {"nra"})
LABELS = [0, 0, 3, 0, 1, 1, 2, 2]


def _edge_batches():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, DIM))
    duplicates, zeros = x.copy(), x.copy()
    duplicates[[1, 2]] = x[0]
    duplicates[5] = -x[4]
    zeros[[3, 6]] = 0
    return {
        "random": (LABELS, x),
        "duplicates and an opposite": (LABELS, duplicates),
        "collapsed": (LABELS, np.ones((8, DIM))),
        "nearly collapsed": (LABELS, rng.normal(size=DIM) + 1e-6 * x),
        "zero vectors": (LABELS, zeros),
        "all zero": (LABELS, np.zeros((8, DIM))),
        "large": (LABELS, x * 1e3),
        "no positives": ([0, 1, 2, 3], x[:4]),
        "no negatives": ([5] * 8, x),
        "lonely anchors": ([0, 0, 0, 1, 2, 2, 3, 4], x),
    }


def _step(loss, dtype, mode):
    """Value and gradient as one function; but for eager mode, of unknown batch size."""

    def step(labels, embeddings):
        return value_and_gradient(loss, labels, embeddings)

    if mode == "eager":
        return step
    signature = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, DIM], dtype)]
    return tf.function(step, input_signature=signature, jit_compile=mode == "xla", autograph=False)


def _check_edges(loss, dtype, modes):
    steps = [_step(loss, dtype, mode) for mode in modes]
    for edge, (labels, x) in _edge_batches().items():
        labels, embeddings = tf.constant([*labels], tf.int64), tf.cast(x, dtype)
        results = [step(labels, embeddings) for step in steps]
        for value, gradient in results:
            assert value.dtype == tf.float32
            assert value.shape == ()
            assert gradient.dtype == dtype
            assert np.isfinite(value), edge
            assert np.isfinite(tf.cast(gradient, tf.float64)).all(), edge
            np.testing.assert_allclose(value, results[0][0], rtol=1e-5, atol=1e-6, err_msg=edge)
            if edge == "random":
                first, this = (tf.cast(g, tf.float32) for g in (results[0][1], gradient))
                np.testing.assert_allclose(this, first, atol=1e-4)


@pytest.mark.parametrize("name", slow_but(sorted({*LOSSES, "nra of minmax ranks"}), OTHERS))
def test_every_edge_is_finite_and_the_same_in_graph_mode(name):
    _check_edges(ALL[name](), tf.float32, ["eager", "graph"])


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("dtype", slow_but([tf.float16], [tf.float16, tf.bfloat16, tf.float64]))
def test_every_edge_is_finite_in_every_precision(name, dtype):
    _check_edges(ALL[name](), dtype, ["eager"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax", "arcface", "triplet_semi_hard", "multi_similarity"])
def test_xla_computes_the_same(name):
    labels, x = make_batch(LABELS, DIM)
    labels, x = tf.constant(labels, tf.int64), tf.constant(x, tf.float32)
    loss = ALL[name]()
    value, gradient = _step(loss, tf.float32, "eager")(labels, x)
    compiled, compiled_gradient = _step(loss, tf.float32, "xla")(labels, x)
    np.testing.assert_allclose(compiled, value, rtol=1e-5)
    np.testing.assert_allclose(compiled_gradient, gradient, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_order_and_length_do_not_matter(name):
    labels, x = make_batch(LABELS, DIM)
    rng = np.random.default_rng(1)
    order, length = rng.permutation(8), np.exp(rng.normal(size=(8, 1)) * 3)
    loss = ALL[name]()
    value, gradient = value_and_gradient(loss, labels, tf.constant(x, tf.float32))
    permuted, moved = value_and_gradient(loss, labels[order], tf.constant(x[order], tf.float32))
    np.testing.assert_allclose(permuted, value, rtol=1e-5)
    np.testing.assert_allclose(moved, gradient.numpy()[order], atol=1e-4)
    np.testing.assert_allclose(loss(labels, x * length), value, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_descent_lowers_the_loss(name):
    labels, x = make_batch(LABELS, DIM)
    x = tf.constant(x, tf.float32)
    loss = ALL[name]()
    value, gradient = value_and_gradient(loss, labels, x)
    assert np.abs(gradient).max() > 1e-4
    step = 1e-3 / tf.norm(gradient)
    assert loss(labels, x - step * gradient) < value < loss(labels, x + step * gradient)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", slow_but([np.int32], [np.int32, np.int64]))
def test_labels_of_any_kind(name, dtype):
    labels, x = make_batch(LABELS, DIM)
    loss = ALL[name]()
    value = loss(labels, x)
    for same in (labels.astype(dtype), labels.astype(dtype)[:, None], [*map(int, labels)]):
        assert loss(same, x) == value
        assert loss(tf.constant(same), tf.constant(x)) == value


@pytest.mark.parametrize("name", sorted(set(LOSSES) - HAVE_WEIGHTS))
def test_classes_above_the_range_of_float32_stay_apart(name):
    labels, x = make_batch(LABELS, DIM)
    loss = ALL[name]()
    np.testing.assert_array_equal(loss(labels + 2**40, x), loss(labels, x))


@pytest.mark.parametrize("name", sorted(set(ALL) - HAVE_WEIGHTS - {"contrastive of tuples"}))
def test_one_image_gives_zero(name):
    x = tf.constant([[1.0, 2.0, 3.0]])
    value, gradient = value_and_gradient(ALL[name](), [3], x)
    assert value == 0
    # No gradient at all, or zeros.
    assert gradient is None or not np.any(gradient)


# Not: contrastive, whose single pairs have a term each, and NRA, which has one for each side.
@pytest.mark.parametrize("name", ["triplet", "triplet_semi_hard", "multi_similarity", "smooth_ap"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5, 6, 7], [0] * 8], ids=["all", "one"])
def test_batch_without_positives_or_negatives_gives_zero(name, labels):
    labels, x = make_batch(labels, DIM)
    value, gradient = value_and_gradient(ALL[name](), labels, tf.constant(x, tf.float32))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", ALL)
def test_weights_are_where_the_optimiser_looks(name):
    variables = ALL[name]().trainable_variables
    assert isinstance(variables, list)
    assert bool(variables) == (name in HAVE_WEIGHTS)


@pytest.mark.parametrize("name", ALL)
def test_config_round_trip(name):
    labels, x = make_batch(LABELS, DIM)
    loss = ALL[name]()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert config["registered_name"] == f"darac_tf>{type(loss).__name__}"
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()
    assert copy(labels, x) == loss(labels, x)
    assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()
