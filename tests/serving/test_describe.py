"""From images through a server to a file, interrupted or not."""

from pathlib import Path

import numpy as np
import pytest

from darac_tf.data.labelled import image_files
from darac_tf.describing import feature_table
from darac_tf.describing.feature_file import load_feature_file
from darac_tf.errors import UserError
from darac_tf.serving import ServerError
from darac_tf.serving.describe import describe_files
from tests.helpers import slow_but
from tests.serving.servicer import Faults, client_of, serving, versions

MADE_FROM = {"model": "darac", "version": 2, "signature": "robust"}
LIMITS = (3, 1 << 20)


@pytest.fixture(scope="module")
def paths(photos):
    return image_files("--images", photos)


def offline(small_model, paths):
    data = np.array([Path(path).read_bytes() for path in paths], object)
    return versions(small_model)[2].run("robust", {"image_bytes": data})


@pytest.mark.parametrize("protocol", slow_but(["grpc"], ["grpc", "rest"]))
def test_a_file_of_all_images(small_model, paths, tmp_path, protocol):
    faults, out = Faults(), tmp_path / "a.npz"
    with serving(small_model, faults) as server, client_of(server, protocol) as client:
        describe_files(client, paths, out, MADE_FROM, LIMITS, progress=False)
    assert faults.count == 5  # 13 contents, three a request
    file, known = load_feature_file(out), offline(small_model, paths)
    assert file.paths.tolist() == paths and len(paths) == 14
    np.testing.assert_array_equal(file.vectors, known["descriptor"])
    np.testing.assert_array_equal(file.valid, known["valid"])
    assert file.valid.sum() == 13 and MADE_FROM.items() <= file.provenance.items()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("is_damaged", slow_but([True], [False, True]))
def test_an_interrupted_call_goes_on(small_model, paths, tmp_path, is_damaged, monkeypatch):
    # Only the last rows are looked at without being asked.
    monkeypatch.setattr(feature_table, "_CHECKED_AT_ONCE", 1)
    faults, out = Faults(lambda number: "INTERNAL" if number == 4 else None), tmp_path / "a.npz"
    with serving(small_model, faults) as server, client_of(server, "grpc", in_flight=1) as client:
        with pytest.raises(ServerError, match="INTERNAL"):
            describe_files(client, paths, out, MADE_FROM, LIMITS, progress=False)
        assert not out.exists() and faults.count == 4
        rows = tmp_path / "a.npz.partial" / "rows.f32"
        if is_damaged:
            rows.write_bytes(b"\xff" + rows.read_bytes()[1:])
        describe_files(client, paths, out, MADE_FROM, LIMITS, progress=False)
    assert faults.count == 4 + 2  # what is left of the 13, and the bad one if it was among them
    known = offline(small_model, paths)
    file = load_feature_file(out)
    np.testing.assert_array_equal(file.vectors, known["descriptor"])
    np.testing.assert_array_equal(file.valid, known["valid"])


def test_vectors_of_another_version_are_not_mixed(small_model, paths, tmp_path):
    faults, out = Faults(lambda number: "INTERNAL" if number == 2 else None), tmp_path / "a.npz"
    with serving(small_model, faults) as server, client_of(server, "grpc", in_flight=1) as client:
        with pytest.raises(ServerError):
            describe_files(client, paths, out, MADE_FROM, LIMITS, progress=False)
        other = {**MADE_FROM, "version": 3}
        with pytest.raises(UserError, match="version is 2 and not 3; delete"):
            describe_files(client, paths, out, other, LIMITS, progress=False)


def test_no_image_can_be_decoded(small_model, photos, tmp_path):
    bad = [str(photos / "class_2" / "bad.jpg")]
    refused = pytest.raises(UserError, match="none of the 1 images can be decoded")
    with serving(small_model) as server, client_of(server, "grpc") as client, refused:
        describe_files(client, bad, tmp_path / "a.npz", MADE_FROM, LIMITS, progress=False)


def test_which_images(photos, tmp_path):
    assert image_files("--images", photos) == sorted(str(path) for path in photos.rglob("*.jpg"))
    rows = [f"{photos}/class_1/1.jpg,b", f"{photos}/class_0/1.jpg,a", f"{photos}/class_1/1.jpg,c"]
    (tmp_path / "some.csv").write_text("\n".join(["path,label", *rows]))
    found = image_files("--images", tmp_path / "some.csv")
    assert found == [f"{photos}/class_1/1.jpg", f"{photos}/class_0/1.jpg"]
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "no image"), ("none", "give a folder")):
        with pytest.raises(UserError, match=message):
            image_files("--images", tmp_path / name)
