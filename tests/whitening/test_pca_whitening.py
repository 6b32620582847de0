import doctest

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, shrunk_covariance
from sklearn.decomposition import PCA

from darac_tf.errors import UserError
from darac_tf.whitening import covariance, fit_pca_whitening


def _descriptors(n, dim, seed=0, dtype=np.float64):
    """Correlated descriptors off the origin, of full rank min(n - 1, dim)."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dim, dim)) * np.geomspace(1, 0.05, dim)
    return (rng.standard_normal((n, dim)) @ mixing + rng.standard_normal(dim)).astype(dtype)


def _apply(fitted, descriptors):
    return (np.float64(descriptors) - fitted.mean) @ fitted.projection.T


@pytest.mark.parametrize(("n", "dim"), [(200, 12), (13, 12), (20, 50), (50, 50)])
def test_agrees_with_sklearn_up_to_sign(n, dim):
    x = _descriptors(n, dim)
    kept = min(n - 1, dim, 10)
    fitted = fit_pca_whitening(x, kept)
    pca = PCA(n_components=kept, whiten=True, svd_solver="full").fit(x)
    np.testing.assert_allclose(fitted.mean, pca.mean_, atol=1e-12)
    np.testing.assert_allclose(fitted.eigenvalues, pca.explained_variance_, rtol=1e-8)
    np.testing.assert_allclose(np.abs(_apply(fitted, x)), np.abs(pca.transform(x)), atol=1e-7)


@pytest.mark.parametrize(("n", "dim", "kept"), [(300, 16, None), (300, 16, 5), (20, 64, 19)])
def test_whitened_covariance_is_the_identity(n, dim, kept):
    x = _descriptors(n, dim, seed=1)
    fitted = fit_pca_whitening(x, kept)
    kept = kept or dim
    assert fitted.mean.shape == (dim,)
    assert fitted.projection.shape == (kept, dim)
    assert fitted.eigenvalues.shape == (kept,)
    assert (np.diff(fitted.eigenvalues) < 0).all()
    y = _apply(fitted, x)
    np.testing.assert_allclose(np.cov(y.T), np.eye(kept), atol=1e-8)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)


def test_gram_and_covariance_give_the_same_map():
    x = _descriptors(30, 40, seed=2)
    by_gram = fit_pca_whitening(x, 29)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    values, vectors = values[:-30:-1], covariance.with_fixed_signs(vectors[:, :-30:-1])
    by_covariance = (vectors / np.sqrt(values)).T
    np.testing.assert_allclose(by_gram.projection, by_covariance, rtol=1e-6, atol=1e-7)


def test_signs_do_not_depend_on_how_the_data_is_blocked(monkeypatch):
    x = _descriptors(90, 8, seed=3)
    whole = fit_pca_whitening(x)
    monkeypatch.setattr(covariance, "_BLOCK_ROWS", 7)
    blocked = fit_pca_whitening(x[::-1])
    np.testing.assert_allclose(blocked.projection, whole.projection, atol=1e-9)
    lead = np.abs(whole.projection).argmax(axis=1)
    assert (whole.projection[np.arange(8), lead] > 0).all()


def test_sign_of_entries_of_equal_size_is_that_of_the_first():
    vectors = np.array([[-0.5, 0.5 - 1e-12], [0.5 + 1e-12, -0.5]])
    np.testing.assert_allclose(
        covariance.with_fixed_signs(vectors), [[0.5, 0.5], [-0.5, -0.5]], atol=1e-9
    )


def test_reads_a_memmap_of_float32(tmp_path):
    x = _descriptors(60, 8, seed=4, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    fitted = fit_pca_whitening(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_array_equal(fitted.projection, fit_pca_whitening(x).projection)
    assert fitted.projection.dtype == fitted.mean.dtype == np.float64


def test_refuses_more_dimensions_than_samples_span():
    x = _descriptors(10, 30)
    with pytest.raises(UserError, match=r"10 images have rank 9; pass --whiten_dim=9 or less"):
        fit_pca_whitening(x, 10)
    with pytest.raises(UserError, match=r"to 30 dimensions: .* --whiten_dim=9"):
        fit_pca_whitening(x)
    assert fit_pca_whitening(x, 9).projection.shape == (9, 30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [12, 500])
def test_finds_the_rank_of_dependent_dimensions(dtype, n):
    x = _descriptors(n, 6, seed=5)
    mixing = np.random.default_rng(6).standard_normal((6, 20))
    dependent = (x @ mixing + 3).astype(dtype)  # float32 rounds in all 20 directions
    with pytest.raises(UserError, match="rank 6; pass --whiten_dim=6"):
        fit_pca_whitening(dependent, 7)
    y = _apply(fit_pca_whitening(dependent, 6), dependent)
    np.testing.assert_allclose(np.cov(y.T), np.eye(6), atol=1e-6)


def test_keeps_weak_directions_that_are_real():
    rng = np.random.default_rng(7)
    scales = np.array([1, 1e-2, 1e-4, 1e-5])
    x = (rng.standard_normal((400, 4)) * scales).astype(np.float32)
    np.testing.assert_allclose(np.sqrt(fit_pca_whitening(x).eigenvalues), scales, rtol=0.15)


def test_duplicates_do_not_add_rank():
    x = _descriptors(5, 30, seed=8)
    with pytest.raises(UserError, match="the 40 images have rank 4; pass --whiten_dim=4"):
        fit_pca_whitening(np.tile(x, (8, 1)), 5)


@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.parametrize("row", [[0.35355338] * 8, [0.99] + [1e-3] * 7])
def test_refuses_a_collapsed_model(noise, row):
    x = np.tile(np.array(row, np.float32), (50, 1))
    bits = x.view(np.uint32)
    bits += np.random.default_rng(9).integers(0, 1 + noise, bits.shape, dtype=np.uint32)
    with pytest.raises(UserError, match="the descriptors of all 50 images are equal"):
        fit_pca_whitening(x, 1)


def test_refuses_too_few_and_bad_descriptors():
    with pytest.raises(UserError, match="at least two images, but got 1"):
        fit_pca_whitening(np.ones((1, 4)))
    broken = _descriptors(9, 4)
    broken[5, 1] = np.nan
    with pytest.raises(UserError, match="row 5 of the whitening descriptors holds NaN"):
        fit_pca_whitening(broken)
    with pytest.raises(ValueError, match=r"must be .n, D.\. Received: .4,."):
        fit_pca_whitening(np.ones(4))
    with pytest.raises(ValueError, match=r"dim must be at least 1\. Received: 0"):
        fit_pca_whitening(_descriptors(9, 4), 0)


@pytest.mark.parametrize(("n", "dim"), [(200, 12), (20, 50), (50, 50)])
def test_power_by_its_definition(n, dim):
    x = _descriptors(n, dim, seed=11)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    for power in (0, 0.25, 0.5, 1):
        fitted = fit_pca_whitening(x, 7, power=power)
        for k in range(7):
            row = vectors[:, -1 - k] / values[-1 - k] ** power
            sign = np.sign(row[np.abs(row).argmax()])
            np.testing.assert_allclose(fitted.projection[k], sign * row, rtol=1e-6, atol=1e-8)
        variances = fitted.eigenvalues ** (1 - 2 * power)
        np.testing.assert_allclose(np.cov(_apply(fitted, x).T), np.diag(variances), atol=1e-7)
        assert fitted.provenance["power"] == power
    rotation = fit_pca_whitening(x, 7, power=0).projection
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(7), atol=1e-9)


@pytest.mark.parametrize(("n", "dim"), [(200, 12), (20, 50), (5, 50), (50, 50), (3, 3)])
@pytest.mark.parametrize("scale", [1, 1e-3])
def test_auto_is_ledoit_wolf_of_sklearn(n, dim, scale, monkeypatch):
    x = _descriptors(n, dim, seed=12) * scale
    shrunk, amount = ledoit_wolf(x)
    monkeypatch.setattr(covariance, "_BLOCK_ROWS", 7)
    fitted = fit_pca_whitening(x, shrinkage="auto")
    assert fitted.provenance["shrinkage"] == pytest.approx(amount, rel=1e-9)
    assert amount > 0
    assert fitted.provenance["shrinkage_by"] == "Ledoit-Wolf"
    precision = fitted.projection.T @ fitted.projection  # the inverse covariance, divisor n - 1
    found = precision @ shrunk * n / (n - 1)
    np.testing.assert_allclose(found, np.eye(dim), atol=1e-7)


@pytest.mark.parametrize("amount", [0.001, 0.4, 1])
@pytest.mark.parametrize(("n", "dim"), [(200, 12), (20, 50)])
def test_shrinkage_whitens_the_shrunk_covariance(n, dim, amount):
    x = _descriptors(n, dim, seed=13)
    shrunk = shrunk_covariance(np.cov(x.T), amount)
    fitted = fit_pca_whitening(x, shrinkage=amount)
    assert (np.diff(fitted.eigenvalues) <= 1e-12).all()
    whitened = fitted.projection @ shrunk @ fitted.projection.T
    np.testing.assert_allclose(whitened, np.eye(dim), atol=1e-8)
    few = fit_pca_whitening(x, 5, shrinkage=amount)  # by Gram where n < dim
    np.testing.assert_allclose(few.eigenvalues, fitted.eigenvalues[:5], rtol=1e-9)
    if amount < 1:  # else all directions have the same variance
        np.testing.assert_allclose(few.projection, fitted.projection[:5], atol=1e-7)


def test_shrinkage_with_duplicates_and_fewer_images_than_dimensions():
    # Dimensions between the rank 4 and the 12 images: the Gram matrix has no vectors for them.
    x = np.tile(_descriptors(5, 30, seed=8), (3, 1))[:12]
    fitted = fit_pca_whitening(x, 8, shrinkage=0.3)
    whitened = fitted.projection @ shrunk_covariance(np.cov(x.T), 0.3) @ fitted.projection.T
    np.testing.assert_allclose(whitened, np.eye(8), atol=1e-9)
    assert fitted.provenance["rank"] == 4


def test_auto_finds_nothing_in_two_images():
    # Both are as far from their mean, so the scatter of x x^T that "auto" looks at is zero.
    x = _descriptors(2, 3)
    assert ledoit_wolf(x)[1] == pytest.approx(0, abs=1e-12)
    assert fit_pca_whitening(x, 1, shrinkage="auto").provenance["shrinkage"] < 1e-12
    with pytest.raises(UserError, match=r"rank 1; .* pass a larger --whiten_shrinkage"):
        fit_pca_whitening(x, 2, shrinkage="auto")


def test_shrinkage_does_not_hide_a_collapsed_model_or_lift_by_nothing():
    with pytest.raises(UserError, match="the descriptors of all 9 images are equal"):
        fit_pca_whitening(np.full((9, 4), 0.1, np.float32), shrinkage=0.5)
    with pytest.raises(UserError, match="rank 9; pass --whiten_dim=9 or less, use more images"):
        fit_pca_whitening(_descriptors(10, 30), shrinkage=1e-20)
    with pytest.raises(UserError, match="of 4 dimensions to 5: pass --whiten_dim=4 or less"):
        fit_pca_whitening(_descriptors(9, 4), 5, shrinkage=0.5)


def test_refuses_arguments_out_of_range():
    x = _descriptors(9, 4)
    for amount in (-0.1, 1.1, float("nan"), "most"):
        with pytest.raises(ValueError, match=r"shrinkage must be .* Received: "):
            fit_pca_whitening(x, shrinkage=amount)
    with pytest.raises(ValueError, match=r"power must be in \[0, 1\]\. Received: 2"):
        fit_pca_whitening(x, power=2)
    for keys in (np.zeros((8, 2), np.uint64), np.zeros((9, 2))):
        with pytest.raises(ValueError, match=r"image_keys must be uint64 \(9, 2\)\. Received"):
            fit_pca_whitening(x, image_keys=keys)


def test_parse_shrinkage():
    assert covariance.parse_shrinkage("auto") == "auto"
    assert [covariance.parse_shrinkage(text) for text in ("0", "0.25", "1")] == [0, 0.25, 1]
    for text in ("", "-1", "1.5", "nan", "most"):
        with pytest.raises(UserError, match=f"--whiten_shrinkage={text} is neither"):
            covariance.parse_shrinkage(text)
    assert doctest.testmod(covariance).attempted == 1
    assert doctest.testmod(covariance).failed == 0
