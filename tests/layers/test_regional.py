"""R-MAC, RAMAC and DARAC against a loop over regions, and the layer contract."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.layers import DARAC, MAC, RAMAC, RMAC, Projected, RegionalGeM, WhitenedRMAC
from darac_tf.layers.normalization import l2_normalize
from darac_tf.layers.region_pooling import REGION_ORDERS
from tests.layer_contract import check_layer
from tests.layers.region_oracle import fixed_regions, pyramid_regions, rmac_regions

# (9, 5) and (9, 33) are among the sizes where the last bit of float64 decides the adaptive grid.
SIZES = [(1, 1), (1, 2), (2, 1), (3, 3), (2, 9), (10, 7), (7, 10), (9, 5), (9, 33)]


def _maps(height, width, channels=6, batch=3, seed=0):
    return np.random.default_rng(seed).random((batch, height, width, channels), np.float32)


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _vectors(image, regions, statistic):
    return np.array([statistic(image[y : y + h, x : x + w], (0, 1)) for x, y, w, h in regions])


def _loop_rmac(maps):
    grid = rmac_regions(*maps.shape[1:3])
    return np.array([_unit(_unit(_vectors(image, grid, np.max)).sum(0)) for image in maps])


def _loop_darac(maps, regions, weights, normalize=_unit):
    result = []
    for image in maps:
        both = [_vectors(image, regions, np.max), _vectors(image, regions, np.mean)]
        result.append(_unit((weights * normalize(np.concatenate(both))).sum(0)))
    return np.array(result)


def _loop_whitened(maps, mean, projection):
    result = []
    for image in maps:
        total = 0
        for x, y, w, h in rmac_regions(*image.shape[:2]):
            region = _unit(image[y : y + h, x : x + w].max((0, 1)))
            total = total + _unit(projection @ (region - mean))
        result.append(_unit(total))
    return np.array(result)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_layers_equal_the_loop_over_regions(height, width):
    maps = _maps(height, width)
    np.testing.assert_allclose(RMAC()(maps), _loop_rmac(maps), atol=2e-6)
    weights = np.random.default_rng(1).normal(size=(42, 1)).astype(np.float32)
    for name, grid in (("fixed", fixed_regions), ("pyramid", pyramid_regions)):
        for order in REGION_ORDERS:
            regions = grid(height, width, order)
            ramac = RAMAC(name, order)
            np.testing.assert_allclose(ramac(maps), _loop_darac(maps, regions, 1), atol=2e-6)
            layer = DARAC(name, region_order=order)
            layer.build(maps.shape)
            layer.set_weights([weights])
            expected = _loop_darac(maps, regions, weights)
            np.testing.assert_allclose(layer(maps), expected, atol=2e-5)


@pytest.mark.parametrize("grid", ["fixed", "pyramid"])
def test_a_turned_map_has_the_same_regional_vectors_in_the_same_order(grid):
    layer = DARAC(grid)
    layer.build((None, None, None, 4))
    layer.set_weights([np.random.default_rng(1).normal(size=(42, 1)).astype(np.float32)])

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 4])], autograph=False)
    def describe(maps):
        return layer.regional_vectors(maps), layer(maps)

    rng = np.random.default_rng(2)
    for height, width in [(1, 2), (7, 10), (12, 16), *rng.integers(1, 30, (25, 2)).tolist()]:
        landscape = _maps(min(height, width), max(height, width), channels=4, batch=2)
        if height == width:
            continue
        turned = np.ascontiguousarray(np.rot90(landscape, -1, axes=(1, 2)))
        (vectors, descriptors), (of_turned, turned_descriptors) = (
            describe(landscape),
            describe(turned),
        )
        np.testing.assert_allclose(of_turned, vectors, atol=1e-6, err_msg=f"{height} x {width}")
        np.testing.assert_allclose(turned_descriptors, descriptors, atol=2e-5)


def test_a_model_from_before_the_long_axis_describes_as_it_did_and_says_so(tmp_path, caplog):
    layer = DARAC(region_order="rows", name="pooling")
    pixels = keras.Input((None, None, 6))
    model = keras.Model(pixels, layer(pixels))
    layer.set_weights([np.random.default_rng(1).normal(size=(42, 1)).astype(np.float32)])
    model.save(tmp_path / "new.keras")
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                assert b', "region_order": "rows"' in content
                content = content.replace(b', "region_order": "rows"', b"")
            old.writestr(name, content)
    loaded = keras.models.load_model(tmp_path / "old.keras")
    (record,) = caplog.records
    assert "DARAC pooling was stored before regions" in record.getMessage()
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    loaded.export(tmp_path / "saved_model", verbose=False)
    exported = tf.saved_model.load(tmp_path / "saved_model")
    assert len(caplog.records) == 1  # a model that is stored again says which order it has
    portrait = _maps(10, 8)
    for describe in (loaded, again, exported.serve):
        np.testing.assert_allclose(describe(portrait), model(portrait), atol=1e-6)
    current = DARAC()
    current.build(portrait.shape)
    current.set_weights(layer.get_weights())
    assert np.abs(current(portrait) - model(portrait)).max() > 1e-3


def test_whitening_starts_as_rmac():
    maps = _maps(6, 8, channels=5)
    np.testing.assert_allclose(WhitenedRMAC()(maps), RMAC()(maps), atol=1e-6)


@pytest.mark.parametrize("dim", [5, 2])
@pytest.mark.parametrize(("height", "width"), [(6, 8), (1, 1), (7, 4)])
def test_whitened_equals_the_loop_over_regions(dim, height, width):
    random = np.random.default_rng(1)
    maps, mean = _maps(height, width, channels=5), random.random(5).astype(np.float32)
    projection = random.normal(size=(dim, 5)).astype(np.float32)
    layer = WhitenedRMAC(dim=dim)
    layer.build(maps.shape)
    layer.set_whitening(mean, projection)
    np.testing.assert_allclose(layer(maps), _loop_whitened(maps, mean, projection), atol=1e-5)


def test_regions_that_are_not_normalised_count_by_their_activation():
    maps = _maps(6, 8)
    weights = np.random.default_rng(1).normal(size=(42, 1)).astype(np.float32)
    layer = DARAC(normalize_regions=False)
    layer.build(maps.shape)
    layer.set_weights([weights])
    expected = _loop_darac(maps, fixed_regions(6, 8), weights, normalize=lambda x: x)
    np.testing.assert_allclose(layer(maps), expected, atol=2e-5)
    assert np.abs(expected - _loop_darac(maps, fixed_regions(6, 8), weights)).max() > 1e-3


@pytest.mark.parametrize("grid", ["fixed", "pyramid"])
@pytest.mark.parametrize("weight", [1.0, 0.37])
@pytest.mark.parametrize("per_channel", [False, True])
def test_darac_with_equal_weights_equals_ramac(grid, weight, per_channel):
    maps = _maps(9, 12)
    layer = DARAC(grid, per_channel=per_channel)
    layer.build(maps.shape)
    layer.set_weights([np.full(layer.region_weights.shape, weight, np.float32)])
    np.testing.assert_allclose(layer(maps), RAMAC(grid)(maps), atol=3e-7)


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [
        pytest.param(RMAC, {"levels": 2}, marks=pytest.mark.slow),
        (WhitenedRMAC, {"levels": 2, "dim": 3}),
        pytest.param(RegionalGeM, {"p": 2.0, "dim": 3, "whole": True}, marks=pytest.mark.slow),
        (RAMAC, {"region_order": "rows"}),
        (DARAC, {"grid": "pyramid", "per_channel": True, "non_negative": True}),
        pytest.param(
            DARAC,
            {"normalize_regions": False, "sharing": "level_kind"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_layer_contract(layer_class, arguments, tmp_path):
    check_layer(layer_class, arguments, _maps(8, 6), tmp_path)


# Each size is compiled anew: a few say enough, and DARAC holds all of RAMAC.
@pytest.mark.parametrize(
    ("layer_class", "jit_compile", "sizes"),
    [
        (RMAC, False, SIZES),
        pytest.param(RAMAC, False, SIZES, marks=pytest.mark.slow),
        (DARAC, False, SIZES),
        (RMAC, True, [(9, 33)]),
        (DARAC, True, [(10, 7)]),
        pytest.param(RMAC, True, [(1, 2)], marks=pytest.mark.slow),
        pytest.param(DARAC, True, [(1, 2)], marks=pytest.mark.slow),
    ],
)
def test_every_map_size_in_one_trace(layer_class, jit_compile, sizes):
    layer = layer_class()
    layer.build((None, None, None, 6))
    traces = []

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 6])],
        jit_compile=jit_compile,
        autograph=False,
    )
    def describe(maps):
        traces.append(1)
        return layer(maps)

    for height, width in sizes:
        maps = _maps(height, width)
        np.testing.assert_allclose(describe(maps), layer(maps), atol=2e-6)
    assert len(traces) == 1


def test_zero_maps_give_zero_vectors_and_finite_gradients():
    layer = DARAC()
    maps = tf.zeros([2, 4, 5, 3])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        result = layer(maps)
        loss = tf.reduce_sum(result**2)
    np.testing.assert_array_equal(result, 0)
    for gradient in tape.gradient(loss, [maps, layer.region_weights.value]):
        assert np.isfinite(gradient).all()


def test_gradients_equal_finite_differences():
    layer = DARAC()
    layer.build((None, None, None, 2))
    target = tf.constant(np.random.default_rng(2).normal(size=(1, 2)), tf.float32)
    maps = tf.constant(_maps(2, 3, channels=2, batch=1))
    theory, numeric = tf.test.compute_gradient(lambda x: tf.reduce_sum(layer(x) * target), [maps])
    np.testing.assert_allclose(theory, numeric, atol=2e-3)


def _shared_weight(weights, sharing, levels, statistic, region):
    """The weight of a region's maximum (statistic 0) or average (1), by its definition."""
    if sharing == "kind":
        return weights[statistic]
    level = next(level for level in range(len(levels)) if region < sum(levels[: level + 1]))
    return weights[statistic * len(levels) + level]


@pytest.mark.parametrize("grid", ["fixed", "pyramid"])
@pytest.mark.parametrize("sharing", ["level_kind", "kind"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_shared_weights_equal_the_loop_over_regions(grid, sharing, per_channel):
    levels, make = {
        "fixed": ((2, 6, 12, 1), fixed_regions),
        "pyramid": ((1, 4, 16), pyramid_regions),
    }[grid]
    maps = _maps(10, 7)
    layer = DARAC(grid, sharing=sharing, per_channel=per_channel)
    layer.build(maps.shape)
    count = 2 if sharing == "kind" else 2 * len(levels)
    assert layer.region_weights.shape == (count, 6 if per_channel else 1)
    np.testing.assert_allclose(layer(maps), RAMAC(grid)(maps), atol=3e-7)
    weights = np.random.default_rng(1).normal(size=layer.region_weights.shape)
    weights = weights.astype(np.float32)
    layer.set_weights([weights])
    of_vectors = np.array(
        [_shared_weight(weights, sharing, levels, s, k) for s in range(2) for k in range(21)]
    )
    np.testing.assert_array_equal(layer.vector_weights(), of_vectors)
    expected = _loop_darac(maps, make(10, 7), of_vectors)
    np.testing.assert_allclose(layer(maps), expected, atol=2e-5)
    free = DARAC(grid, per_channel=per_channel)
    free.build(maps.shape)
    free.set_weights([of_vectors])
    gradients = []
    for each in (layer, free):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(each(maps) * np.arange(6, dtype=np.float32))
        gradients.append(tf.convert_to_tensor(tape.gradient(loss, each.region_weights.value)))
    summed = np.zeros(weights.shape)
    for k, gradient in enumerate(gradients[1].numpy()):
        same = [_shared_weight(np.arange(count), sharing, levels, k // 21, k % 21)]
        summed[same] += gradient
    np.testing.assert_allclose(gradients[0], summed, atol=1e-5)


def test_non_negative_weights_stay_so_in_training():
    layer = DARAC(non_negative=True)
    layer.build((None, None, None, 3))
    optimizer = keras.optimizers.SGD(10.0)
    optimizer.build([layer.region_weights])
    optimizer.apply([tf.ones([42, 1])], [layer.region_weights])
    np.testing.assert_array_equal(layer.region_weights.numpy(), 0)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="Received: grid='hexagons'"):
        RAMAC("hexagons")
    with pytest.raises(ValueError, match="Received: region_order='columns'"):
        DARAC(region_order="columns")
    with pytest.raises(ValueError, match="Received: sharing='level'"):
        DARAC(sharing="level")
    with pytest.raises(ValueError, match="Received: levels=0"):
        RMAC(levels=0)
    with pytest.raises(ValueError, match="Received: dim=0"):
        WhitenedRMAC(dim=0)


def test_regional_gem_lies_between_average_and_maximum():
    maps = tf.abs(_maps(6, 9))

    def vectors(p):
        layer = RegionalGeM(p=p, whole=True)
        layer.build(maps.shape)
        return layer.regional_vectors(maps)

    mean = l2_normalize(tf.reduce_mean(maps, [1, 2]))
    np.testing.assert_allclose(vectors(1.0)[:, 0], mean, atol=1e-5)
    found = vectors(60.0)
    largest = WhitenedRMAC(whole=True).regional_vectors(maps)
    np.testing.assert_allclose(found, largest, atol=0.03)
    without = WhitenedRMAC().regional_vectors(maps)
    np.testing.assert_allclose(largest[:, 1:], without, atol=1e-6)
    np.testing.assert_allclose(largest[:, 0], l2_normalize(MAC()(maps)), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RegionalGeM(p=0), "`p` and `epsilon` must be positive"),
        (lambda: Projected(MAC(), 0), "`dim` must be at least 1"),
    ],
)
def test_what_published_layers_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()
