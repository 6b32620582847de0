"""Lw against its definition written out in loops, and against the properties that define it."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from darac_tf.errors import UserError
from darac_tf.whitening import covariance, fit_learned_whitening, learned, load_whitening


def _matching(n_classes=30, each=4, dim=8, seed=0, dtype=np.float64):
    """Descriptors of classes that differ by a covariance of their own, and all pairs of them."""
    rng = np.random.default_rng(seed)
    within = rng.standard_normal((dim, dim)) * np.geomspace(1, 0.1, dim)
    centres = rng.standard_normal((n_classes, 1, dim)) + 2
    x = centres + rng.standard_normal((n_classes, each, dim)) @ within
    pairs = [
        (c * each + i, c * each + j)
        for c in range(n_classes)
        for i in range(each)
        for j in range(i + 1, each)
    ]
    first, second = np.array(pairs).T
    return x.reshape(-1, dim).astype(dtype), first, second


def _by_loop(x, first, second):
    """Mean, P and eigenvalues with the inverse Cholesky factor as root, one vector at a time."""
    dim = x.shape[1]
    mean = sum(x[i] for i in first) / len(first)
    within = np.zeros((dim, dim))
    for i, j in zip(first, second, strict=True):
        within += np.outer(x[i] - x[j], x[i] - x[j]) / len(first)
    root = np.linalg.inv(np.linalg.cholesky(within))
    total = np.zeros((dim, dim))
    for row in x:
        y = root @ (row - mean)
        total += np.outer(y, y) / len(x)
    values, vectors = np.linalg.eigh(total)
    rows = [root.T @ vectors[:, k] for k in reversed(range(dim))]
    rows = [row * np.sign(row[np.abs(row).argmax()]) for row in rows]
    return mean, np.array(rows), values[::-1], within


@pytest.mark.parametrize("block_rows", [7, 4096])
def test_agrees_with_loops(block_rows, monkeypatch):
    monkeypatch.setattr(covariance, "_BLOCK_ROWS", block_rows)
    monkeypatch.setattr(learned, "_BLOCK_PAIRS", block_rows)
    x, first, second = _matching()
    # Some images as first more often than others, some not at all.
    first, second = np.where(first % 3 == 0, second, first), np.where(first % 3 == 0, first, second)
    mean, projection, values, _ = _by_loop(x, first, second)
    fitted = fit_learned_whitening(x, first, second, provenance={"images": "Paris"})
    np.testing.assert_allclose(fitted.mean, mean, atol=1e-12)
    np.testing.assert_allclose(fitted.projection, projection, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fitted.eigenvalues, values, rtol=1e-8)
    assert fitted.provenance == {
        "images": "Paris",
        "kind": "learned",
        "samples": 120,
        "pairs": 180,
        "rank": 8,
        "shrinkage": 0.0,
        "shrinkage_by": "given",
    }
    three = fit_learned_whitening(x, first, second, 3)
    np.testing.assert_array_equal(three.projection, fitted.projection[:3])
    np.testing.assert_array_equal(three.eigenvalues, fitted.eigenvalues[:3])


def test_pairs_get_the_identity_and_all_get_the_eigenvalues():
    x, first, second = _matching(seed=1)
    fitted = fit_learned_whitening(x, first, second)
    y = (x - fitted.mean) @ fitted.projection.T
    apart = y[first] - y[second]
    np.testing.assert_allclose(apart.T @ apart / len(first), np.eye(8), atol=1e-9)
    np.testing.assert_allclose(y.T @ y / len(x), np.diag(fitted.eigenvalues), atol=1e-8)
    assert (np.diff(fitted.eigenvalues) < 0).all()


def test_does_not_depend_on_the_scale_of_the_descriptors():
    x, first, second = _matching(seed=2)
    fitted, scaled = (fit_learned_whitening(s * x, first, second) for s in (1, 1000))
    np.testing.assert_allclose(1000 * scaled.projection, fitted.projection, rtol=1e-7)


def test_turns_down_what_differs_within_classes():
    # Classes differ along the first axis, photographs of one object along the second.
    rng = np.random.default_rng(3)
    x = np.repeat(np.c_[np.arange(20.0), np.zeros(20)], 5, axis=0)
    x += rng.standard_normal(x.shape) * [0.1, 30]
    first = np.arange(100).reshape(20, 5)[:, :4].ravel()
    fitted = fit_learned_whitening(x, first, first + 1)
    along, across = np.abs(fitted.projection[0])
    assert along > 200 * across


def test_reads_a_memmap_of_float32(tmp_path):
    x, first, second = _matching(dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    fitted = fit_learned_whitening(mapped, first, second)
    expected = fit_learned_whitening(np.float64(x), first, second)
    np.testing.assert_allclose(fitted.projection, expected.projection, rtol=1e-12)
    fitted.save(tmp_path / "w.npz")
    loaded = load_whitening(tmp_path / "w.npz")
    np.testing.assert_array_equal(loaded.projection, fitted.projection)
    assert loaded.provenance["kind"] == "learned"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_too_few_pairs_are_refused_and_shrinkage_helps(dtype):
    x, first, second = _matching(dtype=dtype)
    first, second = first[:5], second[:5]  # of one class of four: differences of rank 3
    message = r"from 5 matching pairs: their differences span 3 of 8 dimensions; .*larger --"
    with pytest.raises(UserError, match=message):
        fit_learned_whitening(x, first, second, 2)
    with pytest.raises(UserError, match=message):
        fit_learned_whitening(x, first, second, shrinkage=1e-20)
    fitted = fit_learned_whitening(x, first, second, shrinkage=0.2)
    apart = np.float64(x[first]) - x[second]
    within = apart.T @ apart / 5
    shrunk = 0.8 * within + 0.2 * np.trace(within) / 8 * np.eye(8)
    whitened = fitted.projection @ shrunk @ fitted.projection.T
    np.testing.assert_allclose(whitened, np.eye(8), atol=1e-6)
    assert fitted.provenance["shrinkage"] == 0.2 and fitted.provenance["rank"] == 3


@pytest.mark.parametrize("n_pairs", [5, 180])
def test_auto_is_ledoit_wolf_of_the_differences(n_pairs):
    x, first, second = _matching()
    first, second = first[:n_pairs], second[:n_pairs]
    shrunk, amount = ledoit_wolf(x[first] - x[second], assume_centered=True)
    fitted = fit_learned_whitening(x, first, second, shrinkage="auto")
    assert fitted.provenance["shrinkage"] == pytest.approx(amount, rel=1e-9)
    assert 0 < amount < 1
    whitened = fitted.projection @ shrunk @ fitted.projection.T
    np.testing.assert_allclose(whitened, np.eye(8), atol=1e-8)


def test_refuses_pairs_of_equal_descriptors():
    x = np.repeat(np.random.default_rng(4).standard_normal((6, 3)), 2, axis=0)
    first = np.arange(0, 12, 2)
    with pytest.raises(UserError, match="of all 6 matching pairs are equal"):
        fit_learned_whitening(x, first, first + 1, shrinkage=0.5)


def test_refuses_bad_arguments():
    x, first, second = _matching()
    fit = fit_learned_whitening
    with pytest.raises(UserError, match="of 8 dimensions to 9: pass --whiten_dim=8 or less"):
        fit(x, first, second, 9)
    for dim in (0, -1):
        with pytest.raises(ValueError, match="dim must be at least 1"):
            fit(x, first, second, dim)
    for wrong in (first[:-1], first[:, None], []):
        with pytest.raises(ValueError, match=r"first and second must be .* Received"):
            fit(x, wrong, second)
    for value in (-1, 120):
        with pytest.raises(ValueError, match=r"rows in \[0, 120\)\. Received: int64"):
            fit(x, np.r_[first[:-1], value], second)
    with pytest.raises(ValueError, match="integer rows"):
        fit(x, first + 0.5, second)
    with pytest.raises(ValueError, match=r"Received: row 0 twice"):
        fit(x, first, np.r_[0, second[1:]])
    with pytest.raises(ValueError, match="shrinkage must be"):
        fit(x, first, second, shrinkage=2)
    with pytest.raises(ValueError, match="image_keys"):
        fit(x, first, second, image_keys=np.zeros((3, 2), np.uint64))
    with pytest.raises(ValueError, match=r"must be \(n, D\)"):
        fit(x[0], first, second)
    broken = x.copy()
    broken[119, 2] = np.inf
    with pytest.raises(UserError, match="row 119 of the whitening descriptors holds NaN"):
        fit(broken, first[:3], second[:3])
