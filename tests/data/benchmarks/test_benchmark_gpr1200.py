"""GPR1200: classes by name."""

import numpy as np
import pytest

from darac_tf.data.benchmarks import load_benchmark
from darac_tf.errors import UserError
from tests.data.benchmarks.synthetic import write_gpr1200


def test_layout(tmp_path):
    benchmark = load_benchmark("gpr1200", write_gpr1200(tmp_path))
    assert benchmark.protocol == "gpr1200" and len(benchmark.database) == 24
    np.testing.assert_array_equal(benchmark.queries.paths, benchmark.database.paths)
    assert benchmark.own_rows.tolist() == list(range(24))
    names = [path.rpartition("/")[2] for path in benchmark.database.paths]
    # By number, so that 7 comes before 14.
    assert names[4] == "7_photo_0.jpg" and names[-1] == "35_photo_3.jpg"
    for row, positives in enumerate(benchmark.relevance["positives"]):
        label = names[row].partition("_")[0]
        others = [i for i in range(24) if i != row and names[i].partition("_")[0] == label]
        assert positives.tolist() == others and positives.dtype == np.int64


@pytest.mark.parametrize("name", ["cat.jpg", "_1.jpg", "12_.jpg", "x1_2.jpg", "1234567890_1.jpg"])
def test_other_names_are_refused(tmp_path, name):
    folder = write_gpr1200(tmp_path)
    (folder / "images" / name).touch()
    with pytest.raises(UserError, match=f"{name}: not named <class number>_<name>"):
        load_benchmark("gpr1200", folder)


def test_lone_and_no_images(tmp_path):
    folder = write_gpr1200(tmp_path / "a")
    (folder / "images" / "77_x.jpg").touch()
    with pytest.raises(UserError, match="class 77 has one image only"):
        load_benchmark("gpr1200", folder)
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="no images in"):
        load_benchmark("gpr1200", tmp_path / "b")


def test_hidden_and_other_files_are_left_alone(tmp_path):
    folder = write_gpr1200(tmp_path)
    (folder / "images" / "._0_photo_0.jpg").touch()
    (folder / "images" / "desktop.ini").touch()
    assert len(load_benchmark("gpr1200", folder).database) == 24
