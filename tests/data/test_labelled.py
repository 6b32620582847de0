"""Folders and CSV files of labelled images, their splits, and what is refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from darac_tf.data import load_dataset
from darac_tf.data.labelled import image_files, read_csv, read_folder
from darac_tf.errors import UserError
from tests.helpers import write_collection, write_image


@pytest.fixture
def folder(tmp_path):
    return write_collection(tmp_path / "photos", classes=4, images=3)


def _csv(folder, text):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_folder(folder):
    images = read_folder(folder)
    assert len(images) == 12 and images.name == "photos"
    assert images.class_names == ("class_0", "class_1", "class_2", "class_3")
    np.testing.assert_array_equal(images.labels, np.repeat(np.arange(4), 3))
    assert images.paths[0].endswith("class_0/0.jpg")


def test_csv_with_splits(folder):
    text = "path,label,split\nclass_0/0.jpg,b,train\nclass_1/0.jpg,a,test\nclass_1/1.jpg,b,test\n"
    # After the mark that spreadsheets begin a file with.
    images = read_csv(_csv(folder, "\ufeff" + text))
    assert images.class_names == ("a", "b")
    np.testing.assert_array_equal(images.labels, [1, 0, 1])
    test = images.split("test")
    assert len(test) == 2 and test.name.endswith(":test")
    with pytest.raises(UserError, match=r"split 'val' \(splits there: test, train\)"):
        images.split("val")


def test_rows_without_a_split_are_said(folder, caplog):
    read_csv(_csv(folder, "path,label,split\nclass_0/0.jpg,a,\nclass_0/1.jpg,a,\n"))
    assert not caplog.messages
    read_csv(_csv(folder, "path,label,split\nclass_0/0.jpg,a,\nclass_0/1.jpg,a,train\n"))
    assert caplog.messages[0].endswith("1 of 2 images have no split, and are in none")


def test_blanks_around_labels_and_splits_make_no_other(folder):
    text = "path,label,split\nclass_0/0.jpg,a b , train\nclass_0/1.jpg,a b,train\n"
    images = read_csv(_csv(folder, text))
    assert images.class_names == ("a b",) and set(images.splits) == {"train"}


def test_csv_round_trip(folder, tmp_path):
    images = read_folder(folder)
    images.write_csv(tmp_path / "elsewhere" / "all.csv")
    again = read_csv(tmp_path / "elsewhere" / "all.csv")
    np.testing.assert_array_equal(again.paths, images.paths)
    np.testing.assert_array_equal(again.labels, images.labels)


def test_names_of_any_bytes_round_trip(folder, tmp_path):
    names = [b"caf\xe9.jpg", b"\\udce9.jpg", 'new\nline, "+=\t東京.jpg'.encode(), b"-a b.jpg"]
    latin = os.fsencode(folder) + b"/\xe9t\xe9"
    (folder / "class_0").rename(os.fsdecode(latin))
    (folder / "class_2" / "0.jpg").rename(folder / "class_2" / "\\udce9.jpg")
    for name in names:
        shutil.copy(folder / "class_1" / "0.jpg", latin + b"/" + name)
    images = read_folder(folder)
    assert images.class_names[0] == "\\udce9t\\udce9"
    images.write_csv(tmp_path / "all.csv")
    assert "\\udce9" in (tmp_path / "all.csv").read_text(encoding="utf-8")
    again = read_csv(tmp_path / "all.csv")
    assert again.rows() == images.rows()
    for index, path in enumerate(images.paths):
        assert images.read(index).numpy() == Path(path).read_bytes()


def test_a_set_is_named_by_its_folder(folder, monkeypatch):
    _csv(folder, "path,label\nclass_0/0.jpg,a\n").rename(folder / "labels.csv")
    monkeypatch.chdir(folder)
    assert read_folder(".").name == read_csv(".").name == read_csv("labels.csv").name == "photos"
    monkeypatch.chdir("class_0")
    assert read_folder("..").name == "photos"


def test_held_out_classes_are_apart_and_depend_on_the_seed_only(folder):
    images = read_folder(folder)
    training, held_out = images.hold_out_classes(2, seed=1)
    assert not set(training.class_names) & set(held_out.class_names)
    assert len(training) + len(held_out) == 12
    assert images.hold_out_classes(2, seed=1)[1].class_names == held_out.class_names
    others = {images.hold_out_classes(2, seed=s)[1].class_names for s in range(9)}
    assert len(others) > 1


@pytest.mark.parametrize("count", [0, -1, 3, 9])
def test_too_many_held_out_classes(folder, count):
    with pytest.raises(UserError, match=f"--val_classes={count}"):
        read_folder(folder).hold_out_classes(count, seed=0)


def test_what_systems_keep_beside_images_is_left_out_and_said(folder, caplog):
    own = read_folder(folder).rows()
    for name in (
        ".thumbnails/0.jpg",
        "@eaDir/0.jpg",
        "__MACOSX/class_0/._0.jpg",
        "class_0/._0.jpg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no image")
    assert not caplog.records and read_folder(folder).rows() == own
    assert image_files("--images", folder) == [path for path, *_ in own]
    for line in caplog.messages:
        assert line.startswith(f"{folder}: 4 hidden files and folders, or of the system, are left")
    assert len(caplog.messages) == 2


def test_refused_folders(folder, tmp_path):
    with pytest.raises(UserError, match="--data_dir: no such folder"):
        read_folder(tmp_path / "absent")
    with pytest.raises(UserError, match="no class folders with images"):
        (tmp_path / "bare").mkdir()
        read_folder(tmp_path / "bare")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na.jpg,1\n", "no column 'label'"),
        ("", "no column 'path'.*is empty"),
        ("path,label\n", "lists no images"),
        ("path,label\nclass_0/0.jpg,\n", "line 2: no path or no label"),
        ("path,label\nclass_0/0.jpg, \n", "line 2: no path or no label"),
        ("path,label\nclass_0/0.jpg,a\nclass_0/0.jpg,a \n", "line 3: repeats line 2; remove it"),
        ("path,label\nclass_0/0.jpg,a\n\nclass_0/0.jpg,a\n", "line 4: repeats line 2"),
        # A stray quote takes rows for a part of a name; a comma without quotes cuts a label.
        ('path,label\nclass_0/0.jpg,"a\nclass_1/0.jpg,b\n', "unexpected end of data"),
        ('path,label\nclass_0/0.jpg,"a\nclass_1/0.jpg,"b\n', "',' expected after"),
        ("path,label\nclass_0/0.jpg,a\nclass_1/0.jpg,Paris, Texas\n", "line 3: more values than"),
        ("path,label\nclass_0/0.jpg\0,a\n", "line 2: no path has a NUL in it"),
    ],
)
def test_refused_csv(folder, text, message):
    with pytest.raises(UserError, match=message):
        read_csv(_csv(folder, text))


def test_what_training_needs(tmp_path):
    one = write_collection(tmp_path / "one", classes=1)
    with pytest.raises(UserError, match="only the class 'class_0'"):
        read_folder(one).check_for_training()
    write_image(one / "lone" / "0.jpg")
    with pytest.raises(UserError, match="fewer than two images in class 'lone'"):
        read_folder(one).check_for_training()


def test_load_dataset(folder):
    assert len(load_dataset("folder", folder)) == 12
    with pytest.raises(UserError, match="--dataset=csv needs --data_dir"):
        load_dataset("csv")
    with pytest.raises(UserError, match="--dataset=tar"):
        load_dataset("tar", folder)
