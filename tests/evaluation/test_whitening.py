import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA

from darac_tf.errors import UserError
from darac_tf.evaluation import whitening
from darac_tf.evaluation.whitening import Whitening, fit_pca_whitening, load_whitening


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
    values, vectors = whitening._eigenvectors_by_covariance(x, by_gram.mean)
    by_covariance = (whitening._with_fixed_signs(vectors[:, :29]) / np.sqrt(values[:29])).T
    np.testing.assert_allclose(by_gram.projection, by_covariance, rtol=1e-6, atol=1e-7)


def test_signs_do_not_depend_on_how_the_data_is_blocked(monkeypatch):
    x = _descriptors(90, 8, seed=3)
    whole = fit_pca_whitening(x)
    monkeypatch.setattr(whitening, "_BLOCK_ROWS", 7)
    blocked = fit_pca_whitening(x[::-1])
    np.testing.assert_allclose(blocked.projection, whole.projection, atol=1e-9)
    lead = np.abs(whole.projection).argmax(axis=1)
    assert (whole.projection[np.arange(8), lead] > 0).all()


def test_sign_of_entries_of_equal_size_is_that_of_the_first():
    vectors = np.array([[-0.5, 0.5 - 1e-12], [0.5 + 1e-12, -0.5]])
    np.testing.assert_allclose(
        whitening._with_fixed_signs(vectors), [[0.5, 0.5], [-0.5, -0.5]], atol=1e-9
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
def test_refuses_a_collapsed_model(noise):
    x = np.full((50, 8), 0.35355338, np.float32)
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


@pytest.fixture
def fitted():
    return fit_pca_whitening(_descriptors(40, 6), 4, {"images": "Paris", "model": "DARAC é"})


def test_round_trip(tmp_path, fitted):
    path = tmp_path / "new" / "whitening.bin"
    fitted.save(path)
    loaded = load_whitening(str(path))
    for name in ("mean", "projection", "eigenvalues"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fitted, name))
    expected = {"images": "Paris", "model": "DARAC é", "samples": 40, "rank": 6}
    assert loaded.provenance == fitted.provenance == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["whitening.bin"]


def test_a_failed_save_keeps_the_old_file(tmp_path, fitted, monkeypatch):
    path = tmp_path / "w.npz"
    fitted.save(path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_provenance_must_be_json(tmp_path, fitted):
    bad = Whitening(fitted.mean, fitted.projection, fitted.eigenvalues, {"a": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        bad.save(tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"can't read the whitening .*w\.npz: No such file"):
        load_whitening(tmp_path / "w.npz")
    with pytest.raises(UserError, match="can't read the whitening"):
        load_whitening(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 0.3, 0.9, 0.999])
def test_refuses_a_truncated_file(tmp_path, fitted, kept):
    path = tmp_path / "w.npz"
    fitted.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(UserError, match=r"w\.npz is not a whitening file, or is damaged"):
        load_whitening(path)


def test_bytes_at_random_are_refused_or_harmless(tmp_path, fitted):
    path = tmp_path / "w.npz"
    fitted.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(10)
    refused = 0
    for _ in range(300):
        broken = bytearray(content)
        for position in rng.integers(0, len(content), 4):
            broken[position] = rng.integers(256)
        path.write_bytes(broken)
        try:
            loaded = load_whitening(path)
        except UserError:
            refused += 1
        else:  # only dates and the like were hit
            np.testing.assert_array_equal(loaded.projection, fitted.projection)
    assert refused > 200


class _Bomb:
    def __reduce__(self):
        return pytest.fail, ("the pickle was run",)


def test_pickles_are_refused_and_not_run(tmp_path, fitted):
    arrays = {"projection": fitted.projection, "eigenvalues": fitted.eigenvalues}
    bomb = np.array([_Bomb()], dtype=object)
    np.savez(tmp_path / "member.npz", mean=bomb, provenance="{}", **arrays)
    np.savez(tmp_path / "text.npz", mean=fitted.mean, provenance=bomb, **arrays)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(_Bomb()))
    for name in ("member.npz", "text.npz", "bare.npz"):
        with pytest.raises(UserError, match=f"{name} is not a whitening file"):
            load_whitening(tmp_path / name)


def test_refuses_other_files(tmp_path, fitted):
    np.save(tmp_path / "array.npy", np.ones(3))
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    (tmp_path / "text.txt").write_text("whitening")
    for name in ("array.npy", "other.npz", "text.txt"):
        with pytest.raises(UserError, match=f"{name} is not a whitening file"):
            load_whitening(tmp_path / name)


@pytest.mark.parametrize(
    "changed",
    [
        {"mean": np.zeros(5)},
        {"eigenvalues": np.ones(3)},
        {"projection": np.full((4, 6), np.nan)},
        {"provenance": "[1]"},
    ],
)
def test_refuses_contents_that_do_not_fit(tmp_path, fitted, changed):
    arrays = {"mean": fitted.mean, "projection": fitted.projection, "provenance": "{}"}
    np.savez(tmp_path / "w.npz", **({"eigenvalues": fitted.eigenvalues} | arrays | changed))
    with pytest.raises(UserError, match=r"w\.npz does not hold a usable whitening"):
        load_whitening(tmp_path / "w.npz")
