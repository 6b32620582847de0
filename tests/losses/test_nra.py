"""The NRA loss against its formula in plain loops, and at every edge a batch can have."""

import itertools
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.losses import NRALoss
from tests.helpers import slow_but
from tests.losses import nra_oracle
from tests.losses.loss_checks import make_batch, value_and_gradient

GAUSSIAN = [
    {"statistics": s, "statistics_gradient": g, "transfer": t}
    for s, g, t in itertools.product(
        ["batch", "anchor"], [True, False], ["logistic", "power", "exponential"]
    )
]
SOFT = [{"rank": "soft"} | options for options in GAUSSIAN if options["statistics"] == "batch"]
MINMAX = [{"rank": "minmax"} | options for options in GAUSSIAN]
CONSTANTS = [
    {"rank": "minmax", "power": 4.0, "r0": 0.7},
    {"power": 4.0, "r0": 0.2},
    {"transfer": "power", "power": 1.5},
    {"transfer": "exponential", "power": 2.5, "statistics": "anchor"},
    {"rank": "soft", "temperature": 0.3, "power": 3.0},
    {"rank": "soft", "temperature": 0.1, "r0": 0.05, "power": 0.7},
]
ALL_OPTIONS = GAUSSIAN + SOFT + MINMAX + CONSTANTS
FEW_OPTIONS = [
    {},
    {"statistics": "anchor", "transfer": "power"},
    {"rank": "soft", "transfer": "exponential"},
    {"rank": "minmax"},
    {"rank": "minmax", "statistics": "anchor", "statistics_gradient": False, "transfer": "power"},
]


def _name(options):
    return "-".join(str(value) for value in options.values()) or "default"


UNEVEN = [4, 4, 9, 9, 9, 9, 2]


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=_name)
@pytest.mark.parametrize("labels", slow_but([UNEVEN], [[0, 0, 0, 1, 1, 1], UNEVEN]), ids=str)
def test_value_and_gradient_equal_the_formula(options, labels):
    labels, embeddings = make_batch(labels)
    value, gradient = value_and_gradient(
        NRALoss(**({"rank": "gaussian"} | options)), labels, tf.constant(embeddings, tf.float32)
    )
    assert value.dtype == tf.float32
    assert value.shape == ()
    np.testing.assert_allclose(value, nra_oracle.nra(labels, embeddings, **options), rtol=1e-5)
    expected = nra_oracle.gradient(labels, embeddings, **options)
    np.testing.assert_allclose(gradient, expected, atol=2e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    "options",
    FEW_OPTIONS + [pytest.param(options, marks=pytest.mark.slow) for options in ALL_OPTIONS],
    ids=_name,
)
def test_false_near_duplicate_in_a_larger_batch(options):
    """Images of different classes that are nearly equal: the rank is about 1e-100."""
    labels, embeddings = make_batch(np.repeat(np.arange(8), 4), dim=256)
    embeddings[20] = embeddings[3] + 0.02 * embeddings[20]
    value, gradient = value_and_gradient(
        NRALoss(**({"rank": "gaussian"} | options)), labels, tf.constant(embeddings, tf.float32)
    )
    np.testing.assert_allclose(value, nra_oracle.nra(labels, embeddings, **options), rtol=1e-4)
    assert np.isfinite(gradient).all()
    # Descent drives the two apart.
    assert np.sum((embeddings[20] - embeddings[3]) * (gradient[20] - gradient[3])) < 0


def _edge_batches():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 6))
    pairs = [0, 0, 1, 1, 2, 2, 3, 3]
    equal_positives, equal_negatives = x.copy(), x.copy()
    equal_positives[1] = x[0]
    equal_negatives[[2, 4]] = x[0]
    nearly = rng.normal(size=6) + 1e-6 * x
    zeros = x.copy()
    zeros[[3, 6]] = 0
    return {
        "equal positives": (pairs, equal_positives),
        "equal negatives": (pairs, equal_negatives),
        "collapsed": (pairs, np.ones((8, 6))),
        "nearly collapsed": (pairs, nearly),
        "two points": (pairs, np.sign(x[:, :1]) * np.ones(6)),
        "zero vectors": (pairs, zeros),
        "all zero": (pairs, np.zeros((8, 6))),
        "large": (pairs, x * 1e3),
        "no positives": (range(8), x),
        "no negatives": ([5] * 8, x),
        "lonely anchors": ([0, 0, 0, 1, 2, 2, 3, 4], x),
    }


def _step(options, dtype, mode):
    """Value and gradient as one function; in graph and XLA, the batch size is unknown."""

    def step(labels, embeddings):
        return value_and_gradient(NRALoss(**({"rank": "gaussian"} | options)), labels, embeddings)

    if mode == "eager":
        return step
    signature = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 6], dtype)]
    return tf.function(step, input_signature=signature, jit_compile=mode == "xla", autograph=False)


@pytest.mark.parametrize(
    ("options", "dtype", "mode"),
    [
        *itertools.product(FEW_OPTIONS, [tf.float32], ["eager"]),
        (FEW_OPTIONS[1], tf.float32, "xla"),
        *(
            pytest.param(FEW_OPTIONS[n], dtype, "xla", marks=pytest.mark.slow)
            for n, dtype in [*((n, tf.float32) for n in (0, 2, 3, 4)), (2, tf.float16)]
        ),
        (FEW_OPTIONS[2], tf.float32, "graph"),
        (FEW_OPTIONS[1], tf.float16, "eager"),
        *(
            pytest.param(FEW_OPTIONS[n], dtype, "eager", marks=pytest.mark.slow)
            for n, dtype in [
                *((n, tf.float16) for n in (0, 2, 4)),
                (0, tf.bfloat16),
                (0, tf.float64),
            ]
        ),
    ],
    ids=lambda v: _name(v) if isinstance(v, dict) else getattr(v, "name", v),
)
def test_every_edge_is_finite_and_equals_the_formula(options, dtype, mode):
    step = _step(options, dtype, mode)
    for name, (labels, x) in _edge_batches().items():
        embeddings = tf.cast(x, dtype)
        value, gradient = step(tf.constant([*labels], tf.int64), embeddings)
        assert value.dtype == tf.float32
        assert gradient.dtype == dtype
        assert np.isfinite(value), name
        assert np.isfinite(tf.cast(gradient, tf.float64)).all(), name
        if name not in ("nearly collapsed", "all zero", "zero vectors"):
            exact = nra_oracle.nra([*labels], tf.cast(embeddings, tf.float64).numpy(), **options)
            np.testing.assert_allclose(value, exact, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("rank", ["gaussian", "soft"])
def test_smallest_batches_by_hand(rank):
    loss = NRALoss(rank)
    x = tf.constant([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    # Two images have rank 1/2; r0 is 1.5 for a positive pair and 0.5 for a negative one.
    cases = (([0], x[:1], 0), ([0, 0], x, -math.log(0.9)), ([0, 1], x, -math.log(0.5)))
    for labels, embeddings, expected in cases:
        value, gradient = value_and_gradient(loss, tf.constant(labels), embeddings)
        np.testing.assert_allclose(value, expected, atol=1e-6)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("rank", ["gaussian", "soft"])
def test_collapsed_batch_by_hand(rank):
    # All ranks are 1/2 and r0 is 1.5 / 7.
    value = NRALoss(rank)(np.repeat(np.arange(4), 2), np.ones((8, 3), np.float32))
    odds = (0.5 / (1.5 / 7)) ** 2
    np.testing.assert_allclose(value, math.log(1 + odds) + math.log(1 + 1 / odds), rtol=1e-5)


@pytest.mark.parametrize("options", MINMAX, ids=_name)
def test_collapsed_batch_of_minmax_ranks_by_hand(options):
    value, gradient = value_and_gradient(
        NRALoss(**options), np.repeat(np.arange(4), 2), tf.ones((8, 3))
    )
    # All ranks are 1/2, and so is r0.
    similar = {"logistic": 0.5, "power": 0.5**4, "exponential": math.exp(-5)}[options["transfer"]]
    np.testing.assert_allclose(value, -math.log(similar) - math.log(1 - similar), rtol=1e-5)
    np.testing.assert_array_equal(gradient, 0)


def test_missing_terms_are_left_out():
    labels, x = make_batch([0, 0, 0, 1])
    lonely = NRALoss("gaussian")(labels, x)
    np.testing.assert_allclose(lonely, nra_oracle.nra(labels, x), rtol=1e-5)
    value, gradient = value_and_gradient(NRALoss("gaussian"), tf.constant([3]), tf.constant(x[:1]))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("options", FEW_OPTIONS, ids=_name)
def test_order_and_length_do_not_matter(options):
    labels, x = make_batch([0, 0, 0, 1, 1, 2, 2, 2, 3])
    rng = np.random.default_rng(1)
    order, length = rng.permutation(9), np.exp(rng.normal(size=(9, 1)) * 3)
    loss = NRALoss(**({"rank": "gaussian"} | options))
    value, gradient = value_and_gradient(loss, labels, tf.constant(x, tf.float32))
    permuted, moved = value_and_gradient(loss, labels[order], tf.constant(x[order], tf.float32))
    np.testing.assert_allclose(permuted, value, rtol=1e-5)
    np.testing.assert_allclose(moved, gradient.numpy()[order], atol=1e-4)
    np.testing.assert_allclose(loss(labels, x * length), value, rtol=1e-5)
    np.testing.assert_allclose(loss(labels + 2**40, x), value, rtol=1e-5)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_is_only_as_coarse_as_its_embeddings(dtype):
    labels, x = make_batch(np.repeat(np.arange(6), 3), dim=32)
    coarse = tf.cast(x, dtype)
    expected = nra_oracle.nra(labels, tf.cast(coarse, tf.float64).numpy())
    np.testing.assert_allclose(NRALoss("gaussian")(labels, coarse), expected, rtol=1e-5)


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=_name)
def test_config_round_trip(options):
    loss = NRALoss(**({"rank": "gaussian"} | options))
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()
    assert options.items() <= copy.get_config().items()


def test_compile_fit_and_save(tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    model.compile("sgd", NRALoss("soft"), jit_compile=False)
    labels, x = make_batch([0, 0, 1, 1, 2, 2, 2, 2], dim=6)
    history = model.fit(x, labels, batch_size=8, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").loss.rank == "soft"


@pytest.mark.parametrize(
    "options",
    [
        {"rank": "exact"},
        {"statistics": "image"},
        {"transfer": "linear"},
        {"power": 0.0},
        {"power": math.nan},
        {"power": math.inf},
        {"r0": 0.0},
        {"r0": 1.0},
        {"r0": math.nan},
        {"temperature": -1.0},
        {"temperature": math.nan},
    ],
    ids=str,
)
def test_wrong_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^`{name}` must .* Received: {name}={value!r}$"):
        NRALoss(**({"rank": "gaussian"} | options))
