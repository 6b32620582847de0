"""INRIA Holidays: queries and positives by name, and how photographs are turned upright."""

import shutil

import numpy as np
import pytest
from PIL import Image

from darac_tf.data.benchmarks import holidays, load_benchmark
from darac_tf.data.benchmarks.holidays import group_names
from darac_tf.errors import UserError
from darac_tf.reports.thumbnails import thumbnail
from tests.data.benchmarks.synthetic import write_holidays


@pytest.mark.parametrize("name_list", [True, False])
def test_layout(tmp_path, name_list):
    benchmark = load_benchmark("holidays", f"{write_holidays(tmp_path, name_list)}/")
    assert benchmark.protocol == "holidays" and len(benchmark.database) == 15
    assert benchmark.own_rows.tolist() == [0, 3, 5, 8, 10, 13]
    positives = [rows.tolist() for rows in benchmark.relevance["positives"]]
    assert positives == [[1, 2], [4], [6, 7], [9], [11, 12], [14]]
    np.testing.assert_array_equal(
        benchmark.queries.paths, benchmark.database.paths[benchmark.own_rows]
    )
    assert benchmark.queries.boxes is None and benchmark.database.turns is None
    origin = "holidays_images.dat" if name_list else "the files in the folder"
    assert benchmark.notes == (
        f"Ground truth: names of {origin}.",
        "Orientation: images as stored; EXIF orientation is not applied.",
    )


@pytest.mark.parametrize("place", ["eval_holidays/holidays_images.dat", "holidays_images.dat"])
def test_list_with_numbers_and_without_endings(tmp_path, place):
    write_holidays(tmp_path, name_list=False)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("100000.jpg 0\n100001 7\n\n100100\n100101\n")
    benchmark = load_benchmark("holidays", tmp_path)
    assert benchmark.own_rows.tolist() == [0, 2] and len(benchmark.database) == 4


def test_published_list(shared_data, tmp_path, monkeypatch):
    source = shared_data / "ground_truth" / "holidays_images.dat"
    names = source.read_text().split()
    files = holidays.ImageFiles(tmp_path)
    # In another order, as a file system may list them.
    files.paths |= {name.removesuffix(".jpg"): tmp_path / name for name in reversed(names)}
    monkeypatch.setattr(holidays, "ImageFiles", lambda data_dir: files)
    from_folder = load_benchmark("holidays", tmp_path)
    shutil.copy(source, tmp_path)
    for benchmark in (from_folder, load_benchmark("holidays", tmp_path)):
        assert len(benchmark.database) == 1491 and len(benchmark.queries) == 500
        assert sum(map(len, benchmark.relevance["positives"])) == 991
        assert [path.rpartition("/")[2] for path in benchmark.database.paths] == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["100000", "100001", "100101"], "100101 does not follow its query 100100"),
        (["100001"], "100001 does not follow its query 100000"),
        (["100000", "100100", "100101"], "query 100000 has no other image"),
        (["100000", "cat"], "cat is no number"),
        (["100000", "¹²"], "is no number"),
        ([], "no queries"),
    ],
)
def test_names_that_do_not_fit(names, message):
    with pytest.raises(UserError, match=f"list: .*{message}"):
        group_names(names, "list")


def test_damaged_lists(tmp_path):
    write_holidays(tmp_path)
    file = tmp_path / "holidays_images.dat"
    for text, message in [
        ("100000.jpg\n100001.jpg\n100001.jpg\n", "100001 is listed twice, as images 1 and 2"),
        ("100000.jpg\n../100001.jpg\n", "no plain image name"),
        ("100000.jpg\n100009.jpg\n", r"lists 100009, .*\(1 of 2 are missing\).*--check_data"),
        ("\n", "no queries"),
    ]:
        file.write_text(text)
        with pytest.raises(UserError, match=rf"holidays_images\.dat.*{message}"):
            load_benchmark("holidays", tmp_path)


def test_folders_that_do_not_fit(tmp_path):
    folder = write_holidays(tmp_path, name_list=False)
    Image.new("RGB", (8, 8)).save(folder / "cat.png")
    with pytest.raises(UserError, match=r"cat\.png: the image name cat is no number"):
        load_benchmark("holidays", folder)
    (folder / "cat.png").unlink()
    shutil.copy(folder / "jpg" / "100000.jpg", folder)
    with pytest.raises(UserError, match="have the same name"):
        load_benchmark("holidays", folder)
    shutil.rmtree(folder / "jpg")
    (folder / "100000.jpg").unlink()
    with pytest.raises(UserError, match="no images in"):
        load_benchmark("holidays", folder)


def _upright(benchmark):
    """The images turned as the benchmark says, small."""
    images = benchmark.database
    return [thumbnail(path, 64, turns=images.turns_of(i)) for i, path in enumerate(images.paths)]


@pytest.mark.parametrize("orientation", ["upright", "list"])
def test_turned_upright(tmp_path, orientation):
    folder = write_holidays(tmp_path)
    rotations = folder / "rotations.txt" if orientation == "list" else None
    benchmark = load_benchmark("holidays", folder, orientation=orientation, rotation_list=rotations)
    if orientation == "list":
        assert np.flatnonzero(benchmark.database.turns).tolist() == [6]
        assert benchmark.queries.turns.tolist() == [0] * 6
    how = {
        "upright": "by EXIF orientation",
        "list": "by the list rotations.txt; 1 of 15 images turned",
    }[orientation]
    assert benchmark.notes[1] == f"Orientation: upright {how}."
    # All are dark at the top once they are upright.
    for image in _upright(benchmark):
        assert image.shape == (48, 64, 3)
        assert image[:12].mean() < 0.7 * image[24:].mean()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100000.jpg 4\n", "line 1: must be `name quarter_turns` with 0 to 3"),
        ("100000.jpg\n", "line 1: must be"),
        ("\n100000.jpg -1\n", "line 2: must be"),
        ("cat.jpg 1\n", "line 1: no image cat.jpg"),
        ("100000.jpg 1\n100000 1\n", "line 2: 100000 is listed twice"),
        (None, "can't be read"),
    ],
)
def test_damaged_rotation_lists(tmp_path, text, message):
    file = tmp_path / "r.txt"
    if text is not None:
        file.write_text(text)
    folder = write_holidays(tmp_path / "data")
    with pytest.raises(UserError, match=rf"--rotation_list: .*r\.txt.*{message}"):
        load_benchmark("holidays", folder, orientation="list", rotation_list=file)
