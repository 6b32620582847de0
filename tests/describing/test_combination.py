"""Combining resolutions, against the definition component by component."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.choices import COMBINATIONS
from darac_tf.describing.combination import (
    Vectors,
    combine_resolutions,
    combine_tensors,
    whiten,
    whitening_arrays,
    whitening_layer,
)
from darac_tf.errors import UserError
from darac_tf.whitening import (
    Whitening,
    fit_learned_whitening,
    fit_pca_whitening,
    matching_pairs,
)


def _descriptors(resolutions=3, images=5, channels=6, seed=0, negative=False):
    x = np.random.default_rng(seed).standard_normal((resolutions, images, channels))
    x = x if negative else np.maximum(x, 0)  # zeros are in it, as after a ReLU
    return list(x.astype(np.float32) * np.array([1, 50, 0.02])[:resolutions, None, None])


def _by_loop(descriptors, mean_of):
    combined = []
    for image in range(len(descriptors[0])):
        units = [x[image] / np.linalg.norm(np.float64(x[image])) for x in descriptors]
        vector = np.array([mean_of([u[c] for u in units]) for c in range(len(units[0]))])
        combined.append(vector / np.linalg.norm(vector))
    return np.array(combined)


@pytest.mark.parametrize("mode", [{}, {"mode": "sum"}, {"mode": "mean"}])
@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_sum_and_mean(mode, resolutions):
    x = _descriptors(resolutions, negative=True)
    combined = combine_resolutions(x, **mode)
    assert combined.dtype == np.float32
    np.testing.assert_allclose(combined, _by_loop(x, sum), atol=1e-6)
    np.testing.assert_allclose(combined, _by_loop(x, np.mean), atol=1e-6)


@pytest.mark.parametrize("p", [1, 1.7, 3, 10])
@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_generalised_mean(p, resolutions):
    x = _descriptors(resolutions, seed=1)
    expected = _by_loop(x, lambda values: np.mean(np.power(values, p)) ** (1 / p))
    np.testing.assert_allclose(combine_resolutions(x, "gmean", p), expected, atol=2e-6)


def test_generalised_mean_at_the_ends():
    x = _descriptors(seed=2)
    np.testing.assert_allclose(
        combine_resolutions(x, "gmean", 1), combine_resolutions(x), atol=1e-6
    )
    # float32 holds no x^1000 of these.
    np.testing.assert_allclose(combine_resolutions(x, "gmean", 1e6), _by_loop(x, max), atol=1e-5)
    np.testing.assert_array_equal(
        combine_resolutions(x, "gmean"), combine_resolutions(x, "gmean", 3)
    )


@pytest.mark.parametrize("mode", COMBINATIONS)
def test_images_do_not_depend_on_their_batch(mode):
    x = _descriptors(images=7, seed=3)
    whole = combine_resolutions(x, mode)
    for image in range(7):
        alone = combine_resolutions([v[image : image + 1] for v in x], mode)
        np.testing.assert_allclose(alone[0], whole[image], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("mode", COMBINATIONS)
def test_order_of_resolutions_does_not_matter(mode):
    x = _descriptors(seed=4)
    np.testing.assert_allclose(
        combine_resolutions(x, mode), combine_resolutions(x[::-1], mode), atol=1e-6
    )


@pytest.mark.parametrize("mode", COMBINATIONS)
def test_an_image_of_zeros_stays_zero(mode):
    x = _descriptors(seed=5)
    for vectors in x:
        vectors[2] = 0
    combined = combine_resolutions(x, mode)
    np.testing.assert_array_equal(combined[2], 0)
    assert np.isfinite(combined).all()


@pytest.mark.parametrize("mode", COMBINATIONS)
def test_in_a_graph_as_in_numpy(mode):
    x = _descriptors(images=40, channels=256, seed=6)
    for vectors in x:
        vectors[2] = 0
    expected = combine_resolutions(x, mode)
    np.testing.assert_allclose(combine_tensors(x, mode), expected, atol=1e-6)
    traced = tf.function(lambda *vectors: combine_tensors(vectors, mode))
    np.testing.assert_allclose(traced(*x), expected, atol=1e-6)


def test_generalised_mean_refuses_negative_values():
    x = _descriptors(seed=7)
    x[1][3, 2] = -1e-6
    with pytest.raises(UserError, match=r'without negative values, .* combine these by "sum"'):
        combine_resolutions(x, "gmean")
    traced = tf.function(lambda *vectors: combine_tensors(vectors, "gmean"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="without negative values"):
        traced(*x)
    combine_resolutions(x, "mean")


def test_nan_is_not_taken_for_negative_and_not_hidden():
    x = _descriptors(seed=8)
    x[1][3, 2] = np.nan
    for mode in COMBINATIONS:
        assert np.isnan(combine_resolutions(x, mode)[3]).any()


def test_refuses_bad_arguments():
    x = _descriptors()
    with pytest.raises(ValueError, match=r"at least one resolution\. Received"):
        combine_resolutions([])
    with pytest.raises(ValueError, match=r"mode must be one of .* Received: 'max'"):
        combine_resolutions(x, "max")
    with pytest.raises(ValueError, match=r'for the mode "gmean" only\. Received: \'sum\', 3'):
        combine_resolutions(x, exponent=3)
    for exponent in (0, 0.5, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"finite and at least 1\. Received"):
            combine_resolutions(x, "gmean", exponent)


def test_whitens_by_either_kind():
    rng = np.random.default_rng(9)
    x = rng.standard_normal((60, 6)).astype(np.float32)
    fitted = fit_learned_whitening(x, *matching_pairs(np.arange(60) // 4), dim=4)
    expected = (x - fitted.mean) @ fitted.projection.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(whitening_layer(fitted, x.shape[-1])(x), expected, atol=1e-5)
    np.testing.assert_allclose(whiten(x, *whitening_arrays(fitted, 6)), expected, atol=1e-5)


def test_whitens_as_the_layer_does():
    rng = np.random.default_rng(10)
    x = combine_resolutions([rng.random((900, 512), np.float32)])
    fitted = fit_pca_whitening(x, 200)
    x[3] = fitted.mean  # stays zero
    layer = whitening_layer(fitted, 512)
    whitened = whiten(x, *whitening_arrays(fitted, 512))
    assert whitened.dtype == np.float32 and whitened.shape == (900, 200) and not whitened[3].any()
    np.testing.assert_allclose(whitened, layer(x), atol=1e-6)


def test_vectors_are_read_in_blocks():
    parts = _descriptors(images=30, channels=8, seed=11)
    whitening = Whitening(np.full(8, 0.1), np.eye(8)[:5], np.ones(5), {})
    combined = combine_resolutions(parts, "gmean", 2)
    vectors = Vectors(parts, "gmean", 2)
    whitened = vectors.whitened(whitening)
    assert vectors.shape == (30, 8) and whitened.shape == (30, 5) and len(whitened) == 30
    expected = whiten(combined, *whitening_arrays(whitening, 8))
    for item in (slice(3, 9), np.array([7, 7, 2]), slice(40, 50), slice(None)):
        np.testing.assert_allclose(vectors[item], combined[item], atol=1e-6)
        np.testing.assert_allclose(whitened[item], expected[item], atol=1e-6)
    some = whitened.of(np.array([5, 1])).of(np.array([1, 0, 0]))
    np.testing.assert_allclose(np.asarray(some), expected[[1, 5, 5]], atol=1e-6)
    some = vectors.of(np.array([5, 1])).whitened(whitening)
    np.testing.assert_allclose(some[:], expected[[5, 1]], atol=1e-6)
    assert type(whitened.in_memory()) is np.ndarray
    stored = Vectors([vectors])
    assert stored.in_memory() is stored
    with pytest.raises(ValueError, match="Received: copy=False"):
        np.array(vectors, copy=False)


def test_refuses_a_whitening_of_another_model():
    whitening = Whitening(np.zeros(5), np.eye(5), np.ones(5), {})
    with pytest.raises(UserError, match="of 5 dimensions, and these have 6: fit it with the same"):
        whitening_layer(whitening, 6)
