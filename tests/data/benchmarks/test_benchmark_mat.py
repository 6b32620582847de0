"""MATLAB ground truth: the same as the pickles, and damaged files."""

import zlib

import numpy as np
import pytest
from scipy.io import savemat

from darac_tf.data.benchmarks import mat
from darac_tf.data.benchmarks.mat import load_ground_truth_mat
from darac_tf.data.benchmarks.unpickle import load_ground_truth_pickle
from darac_tf.errors import UserError
from tests.data.benchmarks.synthetic import write_oxford, write_revisited


@pytest.mark.parametrize("name", ["oxford5k", "paris6k"])
def test_published_files_agree(shared_data, name):
    folder = shared_data / "ground_truth"
    from_mat = load_ground_truth_mat(folder / f"gnd_{name}.mat")
    assert from_mat == load_ground_truth_pickle(folder / f"gnd_{name}.pkl")
    assert len(from_mat["gnd"]) == 55


@pytest.mark.parametrize("write", [write_oxford, write_revisited])
def test_synthetic_files_agree(tmp_path, write):
    kind = {"write_oxford": "oxford5k", "write_revisited": "roxford5k"}[write.__name__]
    a, b = write(tmp_path / "a", "mat"), write(tmp_path / "b", "pkl")
    from_mat = load_ground_truth_mat(a / f"gnd_{kind}.mat")
    assert from_mat == load_ground_truth_pickle(b / f"gnd_{kind}.pkl")


def test_numbers_may_be_doubles_and_lists_empty(tmp_path):
    gnd = np.zeros((1, 1), [("ok", object), ("junk", object), ("bbx", object)])
    gnd[0, 0] = (np.array([[2.0, 3.0]]), np.zeros((0, 0)), np.array([[0.0, 0, 4, 5]]))
    names = np.array(["a", "bb", "ccc"], object)[:, None]
    savemat(tmp_path / "x.mat", {"imlist": names, "gnd": gnd, "qidx": np.array([[3.0]])})
    truth = load_ground_truth_mat(tmp_path / "x.mat")
    assert truth["gnd"] == [{"ok": [1, 2], "junk": [], "bbx": [0, 0, 4, 5]}]
    assert truth["qimlist"] == ["ccc"] and truth["qidx"] == [2]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"gnd": np.zeros(3)}, "imlist"),
        ({"imlist": np.array([["a"]], object), "gnd": np.zeros(3)}, "iterable"),
        ({"imlist": np.array([["a"]], object)}, "gnd"),
        ({"imlist": np.array([["a"]], object), "qidx": np.array([[1.5]])}, "not whole"),
        (
            {"imlist": np.array([["a"]], object), "qidx": np.array([[np.nan]])},
            "number that is none",
        ),
        ({"imlist": np.array([["a"]], object), "qidx": np.array([[2]])}, "image 2 of 1"),
    ],
)
def test_other_contents(tmp_path, variables, message):
    savemat(tmp_path / "x.mat", variables)
    with pytest.raises(UserError, match=rf"x\.mat: not in the form of gnd_.*{message}"):
        load_ground_truth_mat(tmp_path / "x.mat")


def test_damaged_files(tmp_path):
    path = write_oxford(tmp_path, "mat") / "gnd_oxford5k.mat"
    data = path.read_bytes()
    for end in (0, 100, 127, 140, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match=r"gnd_oxford5k\.mat: "):
            load_ground_truth_mat(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    with pytest.raises(UserError, match="version 5 to 7"):
        load_ground_truth_mat(path)
    with pytest.raises(UserError, match=r"absent\.mat: can't be read"):
        load_ground_truth_mat(tmp_path / "absent.mat")


def test_a_file_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(mat, "MAX_INFLATED", 2**20)
    header = (write_oxford(tmp_path, "mat") / "gnd_oxford5k.mat").read_bytes()[:128]
    chunk = zlib.compress(bytes(2**19 + 2**18))
    tag = (15).to_bytes(4, "little") + len(chunk).to_bytes(4, "little")
    path = tmp_path / "bomb.mat"
    path.write_bytes(header + 2 * (tag + chunk))
    with pytest.raises(UserError, match=r"bomb\.mat: unpacks to more than 1 MiB"):
        load_ground_truth_mat(path)
