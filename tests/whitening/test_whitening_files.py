import json
import pickle

import numpy as np
import pytest

from darac_tf.data.content_keys import fingerprint
from darac_tf.errors import UserError
from darac_tf.whitening import Whitening, fit_pca_whitening, load_whitening


def _keys():
    """Keys of 40 images, large ones among them, in falling order."""
    return np.arange(2**64 - 80, 2**64, dtype=np.uint64).reshape(40, 2)[::-1]


@pytest.fixture
def fitted():
    x = np.random.default_rng(0).standard_normal((40, 6)) * np.geomspace(1, 0.1, 6)
    given = {"images": "Paris", "model": "DARAC é"}
    return fit_pca_whitening(x, 4, given, image_keys=_keys())


def test_round_trip(tmp_path, fitted):
    path = tmp_path / "new" / "whitening.bin"
    fitted.save(path)
    loaded = load_whitening(str(path))
    for name in ("mean", "projection", "eigenvalues", "image_keys"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fitted, name))
    np.testing.assert_array_equal(loaded.image_keys, _keys()[::-1])
    assert loaded.image_keys.dtype == np.uint64
    assert loaded.provenance == fitted.provenance
    assert loaded.provenance == {
        "images": "Paris",
        "model": "DARAC é",
        "kind": "pca",
        "samples": 40,
        "rank": 6,
        "shrinkage": 0.0,
        "shrinkage_by": "given",
        "power": 0.5,
        "images_fingerprint": fingerprint(_keys()),
    }
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


def test_a_file_without_images_is_read(tmp_path):
    without = Whitening(np.zeros(3), np.eye(3), np.ones(3), {"images": "Paris"})
    without.save(tmp_path / "w.npz")
    assert load_whitening(tmp_path / "w.npz").image_keys is None


@pytest.mark.parametrize(
    "keys", [None, _keys()[:39], _keys() + np.uint64(1), np.ones(3), np.array(["a"])]
)
def test_refuses_another_list_of_images(tmp_path, fitted, keys):
    arrays = {name: getattr(fitted, name) for name in ("mean", "projection", "eigenvalues")}
    arrays["provenance"] = json.dumps(fitted.provenance)
    if keys is not None:
        arrays["image_keys"] = keys
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(UserError, match=r"w\.npz does not hold the list of images"):
        load_whitening(tmp_path / "w.npz")
